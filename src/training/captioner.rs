//! Training the captioner's decoder on features that were computed once.

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::batches::{Plans, pad};
use super::runner::Task;
use crate::captioner::beam::BeamSearch;
use crate::captioner::decoder::{DecoderConfig, DecoderNetwork};
use crate::captioner::encoder::{FEATURES, storage};
use crate::captioner::words::{END, Words};
use crate::captioner::{Decoder, WORDS};
use crate::error::{Error, Result};
use crate::evaluation::captions::{bleu, cider_d};
use crate::nn::{Compute, block_on};
use crate::weights::{CONFIG, Manifest, Precision, TENSORS, Tensors, sha256, write_folder};

/// One caption to learn: which photo, which words.
#[derive(Debug, Clone)]
pub struct Example {
    /// Index of the photo's features.
    pub photo: usize,
    /// Word ids, the end symbol not among them.
    pub words: Vec<u16>,
}

/// Photos to measure on.
#[derive(Debug, Default)]
pub struct Measured {
    /// Features of each photo.
    pub features: Vec<Vec<f32>>,
    /// What people said of it, in words.
    pub references: Vec<Vec<Vec<String>>>,
}

/// The captioner's task.
#[derive(Debug)]
pub struct CaptionerTask {
    /// Architecture of the decoder.
    pub config: DecoderConfig,
    /// Vocabulary.
    pub words: Words,
    /// Weights of the encoder, to be exported with the decoder's.
    pub encoder: Tensors,
    /// Features of the photos to learn from, `[photo, 1280]`.
    pub features: Vec<Vec<f32>>,
    /// Captions to learn from.
    pub examples: Vec<Example>,
    /// Photos to measure on.
    pub dev: Measured,
    /// Label smoothing.
    pub smoothing: f64,
    /// Which examples an update takes.
    pub plans: Plans,
    /// Where batches go, with autodiff.
    pub autodiff: Device,
    /// Folder of the exported model.
    pub out: PathBuf,
    /// What the manifest says of the data.
    pub data: String,
    /// What the manifest says of the licence.
    pub licence: String,
}

/// Captions of photos by a beam of that width, on all cores.
///
/// # Errors
/// The weights do not fit the configuration.
pub fn captions(decoder: &Decoder, features: &[Vec<f32>], beam: usize) -> Result<Vec<Vec<String>>> {
    let search = BeamSearch::new(beam)?;
    features
        .par_iter()
        .map(|f| {
            let caption = block_on(decoder.caption(f, &search))?;
            Ok(caption.text.split_whitespace().map(String::from).collect())
        })
        .collect()
}

impl CaptionerTask {
    fn decoder(&self, model: &DecoderNetwork) -> Result<Decoder> {
        let mut tensors = Tensors::new("captioner");
        model.put_into(&mut tensors)?;
        Decoder::new(&self.config, self.words.clone(), &tensors, &Compute::cpu())
    }
}

impl Task for CaptionerTask {
    type Model = DecoderNetwork;

    fn loss(&self, model: &DecoderNetwork, step: usize) -> Result<(Tensor<1>, usize)> {
        let chosen = self.plans.batch(step);
        let examples: Vec<&Example> = chosen.iter().map(|&i| &self.examples[i]).collect();
        let features: Vec<f32> =
            examples.iter().flat_map(|e| self.features[e.photo].iter().copied()).collect();
        let features = TensorData::new(features, [examples.len(), FEATURES]);
        let words: Vec<&[u16]> = examples.iter().map(|e| e.words.as_slice()).collect();
        let batch = pad(&words, END, &self.autodiff);
        let features = Tensor::<2>::from_data(features, &self.autodiff);
        let ids: Tensor<2, Int> = batch.inputs;
        Ok((model.loss(features, ids, batch.targets, batch.mask, self.smoothing), batch.units))
    }

    fn validate(&self, model: &DecoderNetwork) -> Result<f64> {
        let found = captions(&self.decoder(model)?, &self.dev.features, 1)?;
        Ok(cider_d(&found, &self.dev.references))
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn score_name(&self) -> &'static str {
        "CIDEr-D"
    }

    fn unit_name(&self) -> &'static str {
        "words"
    }

    fn export(&self, model: &DecoderNetwork, score: f64) -> Result<()> {
        let json = |e: serde_json::Error| Error::Training(e.to_string());
        let mut tensors = self.encoder.clone();
        model.put_into(&mut tensors)?;
        let found = captions(&self.decoder(model)?, &self.dev.features, 3)?;
        let round = |v: f64, digits: i32| (v * 10f64.powi(digits)).round() / 10f64.powi(digits);
        let [b1, _, _, b4] = bleu(&found, &self.dev.references);
        let metrics = serde_json::json!({
            "beam": 3, "bleu_1": round(100.0 * b1, 2), "bleu_4": round(100.0 * b4, 2),
            "cider_d": round(cider_d(&found, &self.dev.references), 4), "cider_d_greedy": round(score, 4),
        });
        let manifest = Manifest {
            name: "captioner".into(),
            files: Vec::new(),
            licence: self.licence.clone(),
            data: self.data.clone(),
            metrics: metrics.as_object().cloned().unwrap_or_default(),
        };
        let choose = |name: &str, shape: &[usize]| {
            if name.starts_with("encoder.") { storage(shape) } else { Precision::Half }
        };
        let files = [
            (CONFIG, serde_json::to_vec_pretty(&self.config).map_err(json)?),
            (WORDS, serde_json::to_vec(&self.words).map_err(json)?),
            (TENSORS, tensors.to_safetensors_as(choose)?),
        ];
        write_folder(&self.out, manifest, &files)
    }

    fn identity(&self) -> serde_json::Value {
        // Weights that are not finite have no digest; an encoder with such fails elsewhere.
        let encoder = self.encoder.to_safetensors(false).map(|bytes| sha256(&bytes)).unwrap_or_default();
        serde_json::json!({
            "model": "captioner", "config": self.config, "examples": self.examples.len(),
            "photos": self.features.len(), "smoothing": self.smoothing, "words": self.words, "encoder": encoder,
            "batches": self.plans.identity(self.examples.iter().map(|e| e.words.as_slice())),
        })
    }
}
