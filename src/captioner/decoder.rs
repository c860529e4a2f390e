//! The decoder's architecture, and what the two networks that it may be have in common.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::{Cell, Entrance, StepperShape};
use crate::weights::Tensors;

/// Architecture of a decoder.
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
    /// Length of a region's keys, with attention.
    #[serde(default)]
    pub attention_size: usize,
    /// Length of a region's values, with attention.
    #[serde(default)]
    pub value_size: usize,
    /// Share of inputs and outputs of the LSTM that training drops.
    #[serde(default)]
    pub dropout: f64,
}

/// How the decoder looks at the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// Once, as a whole, before the first word (Vinyals et al. 2015).
    #[default]
    None,
    /// At regions of its choice before each word (Xu et al. 2015).
    Additive,
}

/// A caption in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// Which of the batch's pictures it is about.
    pub picture: usize,
    /// Word ids, the end symbol not among them.
    pub words: Vec<u16>,
    /// Whether the end symbol follows them; a caption that was broken off has none.
    pub is_whole: bool,
    /// What its log-probability counts for; 1 where captions are learned as they are.
    pub weight: f32,
}

impl Spoken {
    /// Number of words, the end symbol among them if it was said.
    pub fn symbols(&self) -> usize {
        self.words.len() + usize::from(self.is_whole)
    }
}

/// How captions are to be learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lesson {
    /// Share of each target word that is spread over all words (Szegedy et al. 2016, section 7).
    pub smoothing: f64,
    /// Weight of the term that has the attention pass over all of the picture (Xu et al. 2015,
    /// section 4.2.1).
    pub coverage: f64,
    /// Whether the unknown word has no share in the probabilities: where captions are learned that
    /// were said without it.
    pub never_unknown: bool,
}

/// A decoder as it is trained.
pub trait DecoderNetwork: Module + Clone {
    /// A network with random weights.
    fn init(config: &DecoderConfig, device: &Device) -> Self;

    /// The network of which [`Self::put_into`] gave the weights.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    fn load(config: &DecoderConfig, tensors: &Tensors, device: &Device) -> Result<Self>;

    /// Sum over all words (the end symbols too) of their weighted surprise (nats), and what the
    /// lesson adds. `grids [pictures, 49, 1280]`.
    fn loss(&self, grids: Tensor<3>, captions: &[Spoken], lesson: Lesson) -> Tensor<1>;

    /// Adds the weights to a set, by the names that [`super::Decoder::new`] asks for.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    fn put_into(&self, tensors: &mut Tensors) -> Result<()>;
}

impl DecoderConfig {
    /// Refuses sizes that no model of ours has, before memory is asked for.
    ///
    /// # Errors
    /// A size is zero or absurd.
    pub fn check(&self) -> Result<()> {
        // Ids of training data are kept in 16 bits.
        let sizes = 1..=8192;
        let fine = (2..=1 << 16).contains(&self.words)
            && sizes.contains(&self.embedding_size)
            && sizes.contains(&self.hidden_size)
            && (self.attention == Attention::None
                || sizes.contains(&self.attention_size) && sizes.contains(&self.value_size))
            && (0.0..1.0).contains(&self.dropout);
        if fine {
            Ok(())
        } else {
            Err(Error::model("captioner", format!("its sizes make no sense: {self:?}")))
        }
    }

    /// The plain network as it takes one word at a time.
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
}

/// Sum over all words of their weighted surprise. `log_probs [words, vocabulary]`.
pub(super) fn surprise(
    log_probs: Tensor<2>,
    targets: Tensor<2, burn::tensor::Int>,
    weights: Tensor<2>,
    smoothing: f64,
) -> Tensor<1> {
    let picked = log_probs.clone().gather(1, targets);
    let gain =
        if smoothing > 0.0 { picked * (1.0 - smoothing) + log_probs.mean_dim(1) * smoothing } else { picked };
    (gain * weights).sum().neg()
}
