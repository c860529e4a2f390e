//! The first model: from a picture to a sentence. An image encoder, and a decoder that puts what
//! the encoder sees into words (Vinyals et al. 2015, Show and Tell, arXiv 1411.4555).

pub mod beam;
pub mod decoder;
pub mod encoder;
#[cfg(feature = "native")]
pub mod features;
#[cfg(feature = "native")]
pub mod import;
pub mod words;

use crate::error::{Error, Result};
use crate::nn::stepper::read;
use crate::nn::{Compute, PackedMatrix, Stepper};
use crate::picture::Picture;
use crate::weights::{CONFIG, ModelFiles, Tensors};
use beam::BeamSearch;
use decoder::DecoderConfig;
use encoder::{Encoder, FEATURES};
use words::Words;

/// Name of the vocabulary file in a captioner's folder.
pub const WORDS: &str = "words.json";

/// What a picture shows, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    /// The sentence: small letters, no full stop.
    pub text: String,
    /// Natural logarithm of the probability that the network gives it.
    pub log_prob: f32,
}

/// A trained captioner.
#[derive(Debug)]
pub struct Captioner {
    encoder: Encoder,
    decoder: Decoder,
}

/// The half of the captioner that puts features into words.
#[derive(Debug)]
pub struct Decoder {
    words: Words,
    /// Features to the first input of the LSTM, `[features, embedding]`, and its bias.
    projection: PackedMatrix,
    projection_bias: Vec<f32>,
    network: Stepper,
}

impl Captioner {
    /// Sets up the networks of a model folder on a device.
    ///
    /// # Errors
    /// The folder's files do not fit together.
    pub fn new(files: &ModelFiles, compute: &Compute) -> Result<Self> {
        let tensors = files.tensors()?;
        let decoder = Decoder::new(&files.json(CONFIG)?, files.json(WORDS)?, &tensors, compute)?;
        Ok(Self { encoder: Encoder::from_tensors(&tensors, compute.device())?, decoder })
    }

    /// The encoder's pooled view of a picture, [`FEATURES`] values.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn features(&self, picture: &Picture) -> Result<Vec<f32>> {
        let input = self.encoder.input(std::slice::from_ref(picture));
        read(self.encoder.pooled(input)).await
    }

    /// Says what is in a picture. A `beam` of 1 takes the best word each time; a wider one keeps
    /// that many beginnings in view.
    ///
    /// # Errors
    /// The beam is out of range, or the GPU does not answer.
    pub async fn caption(&self, picture: &Picture, beam: usize) -> Result<Caption> {
        let search = BeamSearch::new(beam)?;
        self.decoder.caption(&self.features(picture).await?, &search).await
    }
}

impl Decoder {
    /// Sets up the network on a device.
    ///
    /// # Errors
    /// Vocabulary, configuration and weights do not fit together.
    pub fn new(config: &DecoderConfig, words: Words, tensors: &Tensors, compute: &Compute) -> Result<Self> {
        config.check()?;
        if config.words != words.len() {
            return Err(Error::model(
                "captioner",
                format!("{WORDS} has {} entries, {CONFIG} says {}", words.len(), config.words),
            ));
        }
        let e = config.embedding_size;
        Ok(Self {
            words,
            projection: PackedMatrix::new(tensors.get("projection.weight", &[FEATURES, e])?, FEATURES, e),
            projection_bias: tensors.get("projection.bias", &[e])?.to_vec(),
            network: Stepper::new(config.stepper(), tensors, compute)?,
        })
    }

    /// Puts pooled features into words.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn caption(&self, features: &[f32], search: &BeamSearch) -> Result<Caption> {
        let mut image = self.projection_bias.clone();
        self.projection.add_product(features, &mut image);
        let mut state = self.network.state(1);
        self.network.step_vector(&image, &mut state)?;
        let found = search.run(&self.network, state).await?;
        let best = found.into_iter().next().unwrap_or_default();
        Ok(Caption { text: self.words.decode(&best.ids).join(" "), log_prob: best.log_prob })
    }
}
