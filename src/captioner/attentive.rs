//! The decoder with attention (Xu et al. 2015, Show, Attend and Tell, arXiv 1502.03044), as it is
//! trained.
//!
//! The encoder's 49 regions are brought to `C` values each; keys of length `A` are made of these.
//! Before each word the state asks for regions ([`crate::nn::attention`]), their mixture goes into
//! the LSTM beside the word, and the next word is foretold from output, mixture and word together
//! (section 3.1.2, equation 7). The table of words serves at both ends (Press & Wolf 2017).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Distribution, IndexingUpdateOp, Tensor, TensorData, activation};

use super::decoder::{DecoderConfig, DecoderNetwork, Lesson, Spoken, surprise};
use super::encoder::FEATURES;
use super::words::{END, UNKNOWN};
use crate::error::Result;
use crate::nn::Cell;
use crate::nn::attention::{AttentionInputs, Packing, attend, whole};
use crate::nn::layer::{Recurrent, initial_bias};
use crate::nn::linear::linear;
use crate::nn::lstm::uniform;
use crate::weights::Tensors;

/// Added to the score of a word that can't be said.
const OUT_OF_REACH: f32 = -1e4;

/// The network: H units, E values of a word, C of a region, A of its keys.
#[derive(Module, Debug)]
pub struct AttentiveNetwork {
    /// `[1280, C]`.
    pub value: Param<Tensor<2>>,
    /// `[C]`.
    pub value_bias: Param<Tensor<1>>,
    /// `[C, A]`.
    pub key: Param<Tensor<2>>,
    /// `[A]`.
    pub key_bias: Param<Tensor<1>>,
    /// `[H, A]`.
    pub query: Param<Tensor<2>>,
    /// `[A]`.
    pub score: Param<Tensor<1>>,
    /// Mean of the values to first output and content, `[C, 2 H]`.
    pub start: Param<Tensor<2>>,
    /// `[2 H]`.
    pub start_bias: Param<Tensor<1>>,
    /// `[words, E]`.
    pub embedding: Param<Tensor<2>>,
    /// Word to gates, `[E, 4 H]`.
    pub input: Param<Tensor<2>>,
    /// Context to gates, `[C, 4 H]`.
    pub context: Param<Tensor<2>>,
    /// `[H, 4 H]`.
    pub recurrent: Param<Tensor<2>>,
    /// `[4 H]`.
    pub bias: Param<Tensor<1>>,
    /// Output and context to a word's embedding, `[H + C, E]`.
    pub output: Param<Tensor<2>>,
    /// `[E]`.
    pub output_bias: Param<Tensor<1>>,
    /// `[words]`.
    pub word_bias: Param<Tensor<1>>,
    /// On values, words and outputs.
    pub dropout: Dropout,
}

impl DecoderNetwork for AttentiveNetwork {
    fn init(config: &DecoderConfig, device: &Device) -> Self {
        let DecoderConfig {
            words, embedding_size: e, hidden_size: h, attention_size: a, value_size: c, ..
        } = *config;
        // Keeps the variance, whatever the length of the input.
        let fair = |inputs: usize| (3.0 / inputs as f64).sqrt();
        let zeros = |size: usize| Param::from_tensor(Tensor::zeros([size], device));
        let draw = |size: usize, bound: f64| {
            Param::from_tensor(Tensor::random([size], Distribution::Uniform(-bound, bound), device))
        };
        Self {
            value: uniform([FEATURES, c], 1.4 * fair(FEATURES), device),
            value_bias: zeros(c),
            key: uniform([c, a], fair(c), device),
            key_bias: zeros(a),
            query: uniform([h, a], fair(h), device),
            score: draw(a, fair(a)),
            start: uniform([c, 2 * h], fair(c), device),
            start_bias: zeros(2 * h),
            embedding: uniform([words, e], fair(e), device),
            input: uniform([e, 4 * h], 1.0, device),
            context: uniform([c, 4 * h], fair(c), device),
            recurrent: Recurrent::init(Cell::Lstm, h, device).weights,
            bias: Param::from_tensor(initial_bias(Cell::Lstm, h, device)),
            output: uniform([h + c, e], fair(h + c), device),
            output_bias: zeros(e),
            word_bias: zeros(words),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    fn load(config: &DecoderConfig, tensors: &Tensors, device: &Device) -> Result<Self> {
        let DecoderConfig {
            words, embedding_size: e, hidden_size: h, attention_size: a, value_size: c, ..
        } = *config;
        Ok(Self {
            value: tensors.param("value.weight", [FEATURES, c], device)?,
            value_bias: tensors.param("value.bias", [c], device)?,
            key: tensors.param("key.weight", [c, a], device)?,
            key_bias: tensors.param("key.bias", [a], device)?,
            query: tensors.param("query", [h, a], device)?,
            score: tensors.param("score", [a], device)?,
            start: tensors.param("start.weight", [c, 2 * h], device)?,
            start_bias: tensors.param("start.bias", [2 * h], device)?,
            embedding: tensors.param("embedding", [words, e], device)?,
            input: tensors.param("lstm.0.input", [e, 4 * h], device)?,
            context: tensors.param("lstm.0.context", [c, 4 * h], device)?,
            recurrent: tensors.param("lstm.0.recurrent", [h, 4 * h], device)?,
            bias: tensors.param("lstm.0.bias", [4 * h], device)?,
            output: tensors.param("output.weight", [h + c, e], device)?,
            output_bias: tensors.param("output.bias", [e], device)?,
            word_bias: tensors.param("words.bias", [words], device)?,
            dropout: DropoutConfig::new(config.dropout).init(),
        })
    }

    fn loss(&self, grids: Tensor<3>, captions: &[Spoken], lesson: Lesson) -> Tensor<1> {
        let device = grids.device();
        let [pictures, regions, features] = grids.dims();
        let [hidden, attention] = self.query.dims();
        let width = self.key.dims()[0];
        let flat = grids.reshape([pictures * regions, features]);
        let values = activation::relu(linear(flat, self.value.val(), self.value_bias.val()));
        let values = self.dropout.forward(values);
        let keys = linear(values.clone(), self.key.val(), self.key_bias.val());
        let values = values.reshape([pictures, regions, width]);
        let mean = values.clone().mean_dim(1).reshape([pictures, width]);
        let start = linear(mean, self.start.val(), self.start_bias.val()).tanh();

        let mut order: Vec<&Spoken> = captions.iter().collect();
        order.sort_by_key(|c| std::cmp::Reverse(c.symbols()));
        let lengths: Vec<usize> = order.iter().map(|c| c.symbols()).collect();
        let packing = Packing::new(order.iter().map(|c| c.picture).collect(), &lengths);
        let places = packing.places();
        let (mut ids, mut targets) = (Vec::with_capacity(places), Vec::with_capacity(places));
        let mut weights = Vec::with_capacity(places);
        for (t, &rows) in packing.active().iter().enumerate() {
            for caption in &order[..rows] {
                let word = |t: usize| caption.words.get(t).map_or(END, |&id| usize::from(id));
                ids.push(t.checked_sub(1).map_or(END, word));
                targets.push(word(t));
                weights.push(caption.weight);
            }
        }
        let words = self.embedding.val().select(0, whole(ids.into_iter(), &device));
        let words = self.dropout.forward(words);
        let out = attend(
            AttentionInputs {
                gates: linear(words.clone(), self.input.val(), self.bias.val()),
                values,
                keys: keys.reshape([pictures, regions, attention]),
                query: self.query.val(),
                score: self.score.val(),
                context: self.context.val(),
                recurrent: self.recurrent.val(),
                start,
            },
            &packing,
        );
        let told = self.dropout.forward(out.clone().narrow(1, 0, hidden + width));
        let told = words + linear(told, self.output.val(), self.output_bias.val());
        let told = self.dropout.forward(told.tanh());
        let mut bias = self.word_bias.val();
        if lesson.never_unknown {
            let mut out = vec![0.0f32; bias.dims()[0]];
            out[UNKNOWN] = OUT_OF_REACH;
            bias = bias + Tensor::<1>::from_data(out.as_slice(), &device);
        }
        let scores = linear(told, self.embedding.val().transpose(), bias);
        let targets = whole(targets.into_iter(), &device).reshape([places, 1]);
        let weights = Tensor::from_data(TensorData::new(weights, [places, 1]), &device);
        let loss = surprise(activation::log_softmax(scores, 1), targets, weights, lesson.smoothing);
        if lesson.coverage == 0.0 {
            return loss;
        }
        let looked = out.narrow(1, hidden + width, regions);
        let rows = whole(packing.rows(), &device);
        let sums = Tensor::zeros([order.len(), regions], &device).select_assign(
            0,
            rows,
            looked,
            IndexingUpdateOp::Add,
        );
        loss + (sums.neg() + 1.0).powf_scalar(2.0).sum() * lesson.coverage
    }

    fn put_into(&self, tensors: &mut Tensors) -> Result<()> {
        tensors.put("value.weight", &self.value)?;
        tensors.put("value.bias", &self.value_bias)?;
        tensors.put("key.weight", &self.key)?;
        tensors.put("key.bias", &self.key_bias)?;
        tensors.put("query", &self.query)?;
        tensors.put("score", &self.score)?;
        tensors.put("start.weight", &self.start)?;
        tensors.put("start.bias", &self.start_bias)?;
        tensors.put("embedding", &self.embedding)?;
        tensors.put("lstm.0.input", &self.input)?;
        tensors.put("lstm.0.context", &self.context)?;
        tensors.put("lstm.0.recurrent", &self.recurrent)?;
        tensors.put("lstm.0.bias", &self.bias)?;
        tensors.put("output.weight", &self.output)?;
        tensors.put("output.bias", &self.output_bias)?;
        tensors.put("words.bias", &self.word_bias)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::captioner::decoder::Attention;
    use crate::captioner::encoder::REGIONS;
    use crate::captioner::reader::Reader;
    use crate::lyricist::sampling::Rng;
    use crate::nn::math::log_softmax;

    /// What is learned from captions that the network says itself is right only if they are judged
    /// by the very probabilities that they were drawn with: otherwise some could be pushed down
    /// without end.
    #[test]
    fn what_is_said_is_judged_by_the_probabilities_that_it_was_drawn_with() {
        let device = Device::flex();
        device.seed(3);
        let config = DecoderConfig {
            words: 9,
            embedding_size: 8,
            hidden_size: 12,
            attention: Attention::Additive,
            attention_size: 6,
            value_size: 10,
            dropout: 0.0,
        };
        let model = AttentiveNetwork::init(&config, &device);
        let mut tensors = Tensors::new("toy");
        model.put_into(&mut tensors).unwrap();
        let reader = Reader::new(&config, &tensors).unwrap();
        let mut rng = Rng::new(8);
        let grids: Vec<f32> = (0..2 * REGIONS * FEATURES).map(|_| rng.uniform() as f32).collect();
        let seen: Vec<_> = grids.chunks(REGIONS * FEATURES).map(|grid| reader.look(grid)).collect();
        let whole =
            |picture, words: &[u16]| Spoken { picture, words: words.to_vec(), is_whole: true, weight: 1.0 };
        let captions = [
            whole(1, &[4, 2, 7]),
            whole(0, &[3]),
            whole(1, &[]),
            Spoken { is_whole: false, weight: -0.5, ..whole(0, &[8, 2, 5, 6, 2]) },
        ];
        for never_unknown in [false, true] {
            let expected: f32 = captions
                .iter()
                .map(|caption| {
                    let mut state = reader.state(&[seen[caption.picture].clone()]);
                    let mut last = END;
                    let mut sum = 0.0;
                    for &word in caption.words.iter().chain(&[END as u16]).take(caption.symbols()) {
                        let mut scores = reader.step(&[last], &mut state);
                        if never_unknown {
                            scores[UNKNOWN] = f32::NEG_INFINITY;
                        }
                        log_softmax(&mut scores);
                        last = usize::from(word);
                        sum += scores[last];
                    }
                    -caption.weight * sum
                })
                .sum();
            let grids = Tensor::from_data(TensorData::new(grids.clone(), [2, REGIONS, FEATURES]), &device);
            let lesson = Lesson { smoothing: 0.0, coverage: 0.0, never_unknown };
            let found = model.loss(grids, &captions, lesson).into_scalar::<f32>();
            assert!((found - expected).abs() < 1e-3, "{never_unknown}: {found} and {expected}");
        }
    }
}
