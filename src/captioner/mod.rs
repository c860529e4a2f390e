//! The first model: from a picture to a sentence. An image encoder, and a decoder that puts what
//! the encoder sees into words: one that looks at regions of its choice before each word (Xu et al.
//! 2015, Show, Attend and Tell, arXiv 1502.03044), or a plain one that reads the whole picture once
//! (Vinyals et al. 2015, Show and Tell, arXiv 1411.4555).

pub mod attentive;
pub mod beam;
pub mod decoder;
pub mod encoder;
#[cfg(feature = "native")]
pub mod features;
#[cfg(feature = "native")]
pub mod import;
pub mod network;
pub mod plain;
pub mod reader;
#[cfg(feature = "native")]
pub mod top;
pub mod words;

use crate::error::{Error, Result};
use crate::nn::Compute;
use crate::nn::stepper::read;
use crate::picture::Picture;
use crate::weights::{CONFIG, ModelFiles, Tensors};
use beam::{BeamSearch, Repetition};
use decoder::DecoderConfig;
use encoder::{Encoder, FEATURES, REGIONS};
use network::Network;
use words::Words;

/// Name of the vocabulary file in a captioner's folder.
pub const WORDS: &str = "words.json";

/// What a picture shows, in words.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Caption {
    /// The sentence: small letters, no full stop.
    #[serde(rename = "caption")]
    pub text: String,
    /// Natural logarithm of the probability that the network gives it.
    pub log_prob: f32,
    /// Its words, and where the network looked for each.
    pub words: Vec<SeenWord>,
    /// The best sentences found, this one first.
    pub candidates: Vec<Candidate>,
}

/// A word of a caption.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SeenWord {
    /// The word.
    pub word: String,
    /// Shares of the picture's 7 x 7 regions, row by row, together 1; none of a network that looks
    /// only once.
    pub attention: Vec<f32>,
}

/// A sentence that was found.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Candidate {
    /// The sentence.
    pub caption: String,
    /// Natural logarithm of its probability.
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
    repetition: Repetition,
    network: Network,
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

    /// The encoder's view of a picture, `[49, 1280]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn grid(&self, picture: &Picture) -> Result<Vec<f32>> {
        let input = self.encoder.input(std::slice::from_ref(picture));
        let values = read(self.encoder.grid(input)).await?;
        let mut grid = vec![0.0; REGIONS * FEATURES];
        for (feature, regions) in values.chunks_exact(REGIONS).enumerate() {
            regions.iter().enumerate().for_each(|(r, &v)| grid[r * FEATURES + feature] = v);
        }
        Ok(grid)
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
        self.decoder.caption(&self.grid(picture).await?, &search).await
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
        let repetition = Repetition::of(&words);
        Ok(Self { words, repetition, network: Network::new(config, tensors, compute)? })
    }

    /// Puts a picture's features, `[49, 1280]`, into words.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn caption(&self, grid: &[f32], search: &BeamSearch) -> Result<Caption> {
        let found = search.run(&self.network, self.network.begin(grid)?, &self.repetition).await?;
        let Some(best) = found.first() else { return Ok(Caption::default()) };
        let attention = best.attention.iter().cloned();
        let words = self.words.decode(&best.ids).into_iter().zip(attention);
        let words = words.map(|(word, attention)| SeenWord { word, attention }).collect();
        let candidates: Vec<Candidate> = found
            .iter()
            .map(|h| Candidate { caption: self.words.decode(&h.ids).join(" "), log_prob: h.log_prob })
            .collect();
        Ok(Caption { text: candidates[0].caption.clone(), log_prob: best.log_prob, words, candidates })
    }
}
