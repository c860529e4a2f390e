//! The decoder as it is trained: a word LSTM that reads the picture first (Vinyals et al. 2015,
//! section 3.1).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Int, Tensor, activation};
use serde::{Deserialize, Serialize};

use super::encoder::FEATURES;
use crate::error::{Error, Result};
use crate::nn::lstm::{Lstm, LstmConfig, uniform};
use crate::nn::{Cell, Entrance, StepperShape};
use crate::weights::Tensors;

/// Architecture of a [`DecoderNetwork`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Number of ids of the vocabulary.
    pub words: usize,
    /// Length of a word's embedding.
    pub embedding_size: usize,
    /// Length of the LSTM's output.
    pub hidden_size: usize,
    /// How the picture is looked at.
    #[serde(default)]
    pub attention: Attention,
    /// Share of inputs and outputs of the LSTM that training drops.
    #[serde(default)]
    pub dropout: f64,
}

/// How the decoder looks at the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// Once, as a whole, before the first word.
    #[default]
    None,
}

/// The network.
#[derive(Module, Debug)]
pub struct DecoderNetwork {
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

impl DecoderConfig {
    /// Refuses sizes that no model of ours has, before memory is asked for.
    ///
    /// # Errors
    /// A size is zero or absurd.
    pub fn check(&self) -> Result<()> {
        // Ids of training data are kept in 16 bits.
        let fine = (2..=1 << 16).contains(&self.words)
            && (1..=8192).contains(&self.embedding_size)
            && (1..=8192).contains(&self.hidden_size)
            && (0.0..1.0).contains(&self.dropout);
        if fine {
            Ok(())
        } else {
            Err(Error::model("captioner", format!("its sizes make no sense: {self:?}")))
        }
    }

    /// The network as it takes one word at a time.
    pub fn stepper(&self) -> StepperShape {
        StepperShape {
            entrance: Entrance::Embedding { size: self.embedding_size },
            symbols: self.words,
            hidden: self.hidden_size,
            layers: 1,
            cell: Cell::Lstm,
            context: None,
        }
    }

    /// A network with random weights.
    pub fn init(&self, device: &Device) -> DecoderNetwork {
        let (v, e, h) = (self.words, self.embedding_size, self.hidden_size);
        DecoderNetwork {
            projection: uniform([FEATURES, e], (6.0 / FEATURES as f64).sqrt(), device),
            projection_bias: Param::from_tensor(Tensor::zeros([e], device)),
            embedding: uniform([v, e], 1.0, device),
            lstm: LstmConfig { input_size: e, hidden_size: h }.init(device),
            output: uniform([h, v], 1.0 / (h as f64).sqrt(), device),
            output_bias: Param::from_tensor(Tensor::zeros([v], device)),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

impl DecoderNetwork {
    /// Sum over all places of the mask times the surprise (nats) at the target word there.
    /// `features [batch, 1280]`; `ids`, `targets` and `mask` are `[time, batch]`. With `smoothing`
    /// s, a share s of the target is spread over all words (Szegedy et al. 2016, section 7).
    pub fn loss(
        &self,
        features: Tensor<2>,
        ids: Tensor<2, Int>,
        targets: Tensor<2, Int>,
        mask: Tensor<2>,
        smoothing: f64,
    ) -> Tensor<1> {
        let [time, batch] = ids.dims();
        let image = features.matmul(self.projection.val()) + self.projection_bias.val().unsqueeze();
        let words = self.embedding.val().select(0, ids.reshape([time * batch]));
        let size = words.dims()[1];
        let inputs = Tensor::cat(vec![image, words], 0).reshape([time + 1, batch, size]);
        let hidden = self.lstm.forward(self.dropout.forward(inputs)).narrow(0, 1, time);
        let width = hidden.dims()[2];
        let hidden = self.dropout.forward(hidden).reshape([time * batch, width]);
        let scores = hidden.matmul(self.output.val()) + self.output_bias.val().unsqueeze();
        let log_probs = activation::log_softmax(scores, 1);
        let picked = log_probs.clone().gather(1, targets.reshape([time * batch, 1]));
        let gain = if smoothing > 0.0 {
            picked * (1.0 - smoothing) + log_probs.mean_dim(1) * smoothing
        } else {
            picked
        };
        (gain * mask.reshape([time * batch, 1])).sum().neg()
    }

    /// Adds the weights to a set, by the names that [`super::Decoder::new`] asks for.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    pub fn put_into(&self, tensors: &mut Tensors) -> Result<()> {
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
