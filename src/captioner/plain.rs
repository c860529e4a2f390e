//! The plain decoder as it is trained: a word LSTM that reads the picture first (Vinyals et al.
//! 2015, Show and Tell, arXiv 1411.4555, section 3.1).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor, TensorData, activation};

use super::decoder::{DecoderConfig, DecoderNetwork, Lesson, Spoken, surprise};
use super::encoder::FEATURES;
use super::words::END;
use crate::error::Result;
use crate::nn::attention::whole;
use crate::nn::lstm::{Lstm, LstmConfig, uniform};
use crate::weights::Tensors;

/// The network.
#[derive(Module, Debug)]
pub struct PlainNetwork {
    /// `[features, embedding]`.
    pub projection: Param<Tensor<2>>,
    /// `[embedding]`.
    pub projection_bias: Param<Tensor<1>>,
    /// `[words, embedding]`.
    pub embedding: Param<Tensor<2>>,
    /// The LSTM.
    pub lstm: Lstm,
    /// `[hidden, words]`.
    pub output: Param<Tensor<2>>,
    /// `[words]`.
    pub output_bias: Param<Tensor<1>>,
    /// On inputs and outputs of the LSTM.
    pub dropout: Dropout,
}

impl DecoderNetwork for PlainNetwork {
    fn init(config: &DecoderConfig, device: &Device) -> Self {
        let (v, e, h) = (config.words, config.embedding_size, config.hidden_size);
        Self {
            projection: uniform([FEATURES, e], (6.0 / FEATURES as f64).sqrt(), device),
            projection_bias: Param::from_tensor(Tensor::zeros([e], device)),
            embedding: uniform([v, e], 1.0, device),
            lstm: LstmConfig { input_size: e, hidden_size: h }.init(device),
            output: uniform([h, v], 1.0 / (h as f64).sqrt(), device),
            output_bias: Param::from_tensor(Tensor::zeros([v], device)),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    fn load(config: &DecoderConfig, tensors: &Tensors, device: &Device) -> Result<Self> {
        let (v, e, h) = (config.words, config.embedding_size, config.hidden_size);
        let mut net = Self::init(config, device);
        net.projection = tensors.param("projection.weight", [FEATURES, e], device)?;
        net.projection_bias = tensors.param("projection.bias", [e], device)?;
        net.embedding = tensors.param("embedding", [v, e], device)?;
        net.lstm.input = tensors.param("lstm.0.input", [e, 4 * h], device)?;
        net.lstm.recurrent = tensors.param("lstm.0.recurrent", [h, 4 * h], device)?;
        net.lstm.bias = tensors.param("lstm.0.bias", [4 * h], device)?;
        net.output = tensors.param("output.weight", [h, v], device)?;
        net.output_bias = tensors.param("output.bias", [v], device)?;
        Ok(net)
    }

    fn loss(&self, grids: Tensor<3>, captions: &[Spoken], lesson: Lesson) -> Tensor<1> {
        let device = grids.device();
        let [pictures, _, features] = grids.dims();
        let pooled = grids.mean_dim(1).reshape([pictures, features]);
        let image = pooled.matmul(self.projection.val()) + self.projection_bias.val().unsqueeze();
        let image = image.select(0, whole(captions.iter().map(|c| c.picture), &device));
        // Padded, time-major: [time, caption].
        let batch = captions.len();
        let time = captions.iter().map(|c| c.words.len()).max().unwrap_or(0) + 1;
        let (mut ids, mut targets) = (vec![END; time * batch], vec![END; time * batch]);
        let mut weights = vec![0.0f32; time * batch];
        for (b, caption) in captions.iter().enumerate() {
            for (t, &id) in caption.words.iter().enumerate() {
                ids[(t + 1) * batch + b] = usize::from(id);
                targets[t * batch + b] = usize::from(id);
            }
            (0..caption.symbols()).for_each(|t| weights[t * batch + b] = caption.weight);
        }
        let words = self.embedding.val().select(0, whole(ids.into_iter(), &device));
        let size = words.dims()[1];
        let inputs = Tensor::cat(vec![image, words], 0).reshape([time + 1, batch, size]);
        let hidden = self.lstm.forward(self.dropout.forward(inputs)).narrow(0, 1, time);
        let width = hidden.dims()[2];
        let hidden = self.dropout.forward(hidden).reshape([time * batch, width]);
        let scores = hidden.matmul(self.output.val()) + self.output_bias.val().unsqueeze();
        let targets = whole(targets.into_iter(), &device).reshape([time * batch, 1]);
        let weights = Tensor::from_data(TensorData::new(weights, [time * batch, 1]), &device);
        surprise(activation::log_softmax(scores, 1), targets, weights, lesson.smoothing)
    }

    fn put_into(&self, tensors: &mut Tensors) -> Result<()> {
        tensors.put("projection.weight", &self.projection)?;
        tensors.put("projection.bias", &self.projection_bias)?;
        tensors.put("embedding", &self.embedding)?;
        tensors.put("lstm.0.input", &self.lstm.input)?;
        tensors.put("lstm.0.recurrent", &self.lstm.recurrent)?;
        tensors.put("lstm.0.bias", &self.lstm.bias)?;
        tensors.put("output.weight", &self.output)?;
        tensors.put("output.bias", &self.output_bias)
    }
}
