//! Training the captioner: its decoder, and the top of its encoder, on what the encoder's trunk
//! gives, which is computed once.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use rayon::prelude::*;

use super::batches::Plans;
use super::runner::Task;
use crate::captioner::beam::{BeamSearch, MAX_WORDS};
use crate::captioner::decoder::{Attention, DecoderConfig, DecoderNetwork, Lesson, Spoken};
use crate::captioner::encoder::{FEATURES, REGIONS, TRUNK_FEATURES, storage};
use crate::captioner::features::{Grid, View};
use crate::captioner::reader::{Reader, Seen};
use crate::captioner::top::EncoderTop;
use crate::captioner::words::{END, UNKNOWN, Words};
use crate::captioner::{Caption, Decoder, WORDS};
use crate::error::{Error, Result};
use crate::evaluation::captions::{CiderD, bleu, cider_d};
use crate::evaluation::meteor::{Meteor, meteor};
use crate::lyricist::sampling::Rng;
use crate::nn::math::log_softmax;
use crate::nn::{Compute, block_on};
use crate::weights::{CONFIG, Manifest, Precision, TENSORS, Tensors, sha256, write_folder};

/// Rows that speak together: enough to share the reading of the weights.
const CHORUS: usize = 32;
/// Stands for the end of a caption where captions are compared: without it a sentence that breaks
/// off ("a man in a") is as good as a whole one.
const FULL_STOP: &str = ".";
/// Name of the score that a captioner is chosen by.
const CIDER: &str = "CIDEr-D";

/// A photo to learn from.
#[derive(Debug)]
pub struct Photo {
    /// What the trunk gives for it in each view; the first is the photo as it is.
    pub grids: Vec<(View, Grid)>,
    /// Word ids of its captions, the end symbol not among them.
    pub captions: Vec<Vec<u16>>,
    /// Whether each caption speaks of left or right.
    pub sided: Vec<bool>,
}

/// Photos to measure on.
#[derive(Debug, Default)]
pub struct Measured {
    /// What the trunk gives for each photo.
    pub grids: Vec<Grid>,
    /// What people said of it, in words.
    pub references: Vec<Vec<Vec<String>>>,
}

/// Learning from what the network itself says (Rennie et al. 2017, arXiv 1612.00563): what was
/// said is made likelier by how much better it is than the other captions said of the photo (the
/// baseline of Luo 2020, arXiv 2003.09971, section 3), by CIDEr-D against the photo's captions, and
/// METEOR and BLEU-1 beside it if that is asked for.
#[derive(Debug)]
pub struct SelfCritical {
    samples: usize,
    cider: CiderD,
    meteor: Meteor,
    references: Vec<Vec<Vec<String>>>,
    weights: RewardWeights,
}

/// What scores from 0 to 1 count for beside CIDEr-D.
#[derive(Debug, Clone, Copy, Default)]
pub struct RewardWeights {
    /// METEOR asks for all that people name, CIDEr-D for what is telling.
    pub meteor: f64,
    /// BLEU-1, of the one caption, asks for words that people used.
    pub bleu: f64,
}

impl SelfCritical {
    /// With so many captions said of each photo, against what people said of each.
    pub fn new<'a>(
        samples: usize,
        weights: RewardWeights,
        references: impl Iterator<Item = &'a [Vec<String>]> + Clone,
    ) -> Self {
        let ended = |caption: &Vec<String>| caption.iter().cloned().chain([FULL_STOP.into()]).collect();
        let whole: Vec<Vec<Vec<String>>> =
            references.clone().map(|captions| captions.iter().map(ended).collect()).collect();
        let bare: Vec<Vec<Vec<String>>> = references.map(<[_]>::to_vec).collect();
        let (cider, meteor) = (CiderD::new(&whole), Meteor::new(&bare));
        Self { samples, cider, meteor, references: bare, weights }
    }

    fn name(&self) -> &'static str {
        if self.weights.meteor > 0.0 || self.weights.bleu > 0.0 { "reward" } else { CIDER }
    }

    /// What a caption of that photo is worth.
    fn reward(&self, photo: usize, mut caption: Vec<String>) -> f64 {
        let mut reward = 0.0;
        if self.weights.meteor > 0.0 {
            reward += self.weights.meteor * self.meteor.score(photo, &caption);
        }
        if self.weights.bleu > 0.0 {
            let references = &self.references[photo..=photo];
            reward += self.weights.bleu * bleu(std::slice::from_ref(&caption), references)[0];
        }
        if caption.len() < MAX_WORDS {
            caption.push(FULL_STOP.into());
        }
        reward + self.cider.score(photo, &caption)
    }
}

/// The captioner's task.
#[derive(Debug)]
pub struct CaptionerTask<N> {
    /// Architecture of the decoder.
    pub config: DecoderConfig,
    /// Vocabulary.
    pub words: Words,
    /// Weights of the encoder that training begins with.
    pub encoder: Tensors,
    /// How fast the top of the encoder learns beside the decoder: see [`EncoderTop::load`]. Zero
    /// leaves it as it is.
    pub encoder_rate: f64,
    /// Photos to learn from.
    pub photos: Vec<Photo>,
    /// Photos to measure on.
    pub dev: Measured,
    /// How captions are learned.
    pub lesson: Lesson,
    /// Set where captions are learned that the network says.
    pub self_critical: Option<SelfCritical>,
    /// Standard deviation of the noise that features are multiplied by.
    pub feature_noise: f64,
    /// Which photos an update takes.
    pub plans: Plans,
    /// Seed of the views.
    pub seed: u64,
    /// Where batches go, with autodiff.
    pub autodiff: Device,
    /// Folder of the exported model.
    pub out: PathBuf,
    /// What the manifest says of the data.
    pub data: String,
    /// What the manifest says of the licence.
    pub licence: String,
    /// The kind of network.
    pub network: PhantomData<fn() -> N>,
}

/// What is trained: all that is above the encoder's trunk.
#[derive(Module, Debug)]
pub struct Learner<N> {
    /// The encoder's top.
    pub top: EncoderTop,
    /// The decoder.
    pub decoder: N,
}

/// Captions of photos, of which the trunk's grids are given, by a beam of that width, on all cores.
///
/// # Errors
/// The weights do not fit the configuration.
pub fn captions(decoder: &Decoder, top: &EncoderTop, grids: &[Grid], beam: usize) -> Result<Vec<Caption>> {
    let search = BeamSearch::new(beam)?;
    let mut captions = Vec::with_capacity(grids.len());
    for grids in grids.chunks(CHORUS) {
        let features = top.features(grids)?;
        let features = features.par_chunks(REGIONS * FEATURES);
        let found = features.map(|grid| block_on(decoder.caption(grid, &search)));
        captions.extend(found.collect::<Result<Vec<_>>>()?);
    }
    Ok(captions)
}

/// Captions as lists of words.
pub fn split(captions: &[Caption]) -> Vec<Vec<String>> {
    captions.iter().map(|c| c.text.split_whitespace().map(String::from).collect()).collect()
}

impl<N: DecoderNetwork + ModuleDisplay> CaptionerTask<N> {
    fn tensors(&self, decoder: &N) -> Result<Tensors> {
        let mut tensors = Tensors::new("captioner");
        decoder.put_into(&mut tensors)?;
        Ok(tensors)
    }

    fn captions(&self, model: &Learner<N>, beam: usize) -> Result<Vec<Vec<String>>> {
        let tensors = self.tensors(&model.decoder)?;
        let decoder = Decoder::new(&self.config, self.words.clone(), &tensors, &Compute::cpu())?;
        Ok(split(&captions(&decoder, &model.top, &self.dev.grids, beam)?))
    }

    /// What the network says by itself of each of the batch's pictures, weighted by how much
    /// better than its other captions each is.
    fn say(
        &self,
        critic: &SelfCritical,
        decoder: &N,
        grids: &[f32],
        photos: &[usize],
        rng: &mut Rng,
    ) -> Result<Vec<Spoken>> {
        let reader = Reader::new(&self.config, &self.tensors(decoder)?)?;
        let seen: Vec<Arc<Seen>> =
            grids.par_chunks(REGIONS * FEATURES).map(|grid| reader.look(grid)).collect();
        let rows: Vec<(usize, u64)> =
            (0..seen.len() * critic.samples).map(|i| (i / critic.samples, rng.next_u64())).collect();
        let said: Vec<Vec<u16>> = rows
            .par_chunks(CHORUS)
            .flat_map_iter(|rows| {
                let pictures: Vec<_> = rows.iter().map(|&(picture, _)| Arc::clone(&seen[picture])).collect();
                let mut rngs: Vec<Rng> = rows.iter().map(|&(_, seed)| Rng::new(seed)).collect();
                reader.speak(&pictures, MAX_WORDS, |row, scores| draw(scores, &mut rngs[row]))
            })
            .collect();
        let rewards: Vec<f64> = said
            .par_iter()
            .zip(&rows)
            .map(|(words, &(picture, _))| {
                let ids: Vec<usize> = words.iter().map(|&id| usize::from(id)).collect();
                critic.reward(photos[picture], self.words.decode(&ids))
            })
            .collect();
        let spoken = said.into_iter().zip(&rewards).enumerate().map(|(i, (words, reward))| {
            let picture = i / critic.samples;
            let all: f64 = rewards[picture * critic.samples..][..critic.samples].iter().sum();
            let others = (all - reward) / (critic.samples - 1) as f64;
            let is_whole = words.len() < MAX_WORDS;
            Spoken { picture, words, is_whole, weight: (reward - others) as f32 }
        });
        Ok(spoken.collect())
    }
}

/// A word by its probability; never the unknown one.
fn draw(scores: &mut [f32], rng: &mut Rng) -> usize {
    scores[UNKNOWN] = f32::NEG_INFINITY;
    log_softmax(scores);
    let mut left = rng.uniform();
    for (id, &log_prob) in scores.iter().enumerate() {
        left -= f64::from(log_prob.exp());
        if left < 0.0 {
            return id;
        }
    }
    END
}

/// The likeliest word; never the unknown one.
fn likeliest(scores: &mut [f32]) -> usize {
    scores[UNKNOWN] = f32::NEG_INFINITY;
    let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(END, |(id, _)| id)
}

impl<N: DecoderNetwork + ModuleDisplay + std::fmt::Debug> Task for CaptionerTask<N> {
    type Model = Learner<N>;

    fn loss(&self, model: &Learner<N>, step: usize) -> Result<(Tensor<1>, usize)> {
        let chosen = self.plans.batch(step);
        let mut rng = Rng::new(self.seed ^ (step as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let mut values = Vec::with_capacity(chosen.len() * REGIONS * TRUNK_FEATURES);
        let mut spoken = Vec::new();
        for (picture, &photo) in chosen.iter().enumerate() {
            let photo = &self.photos[photo];
            // What a mirrored photo has on the left, its caption has on the right.
            let (view, grid) = match &photo.grids[rng.below(photo.grids.len())] {
                (view, _) if view.is_mirrored() && photo.sided.iter().all(|&s| s) => &photo.grids[0],
                other => other,
            };
            values.extend(grid.iter().map(|v| v.to_f32()));
            if self.self_critical.is_none() {
                for (words, sided) in photo.captions.iter().zip(&photo.sided) {
                    if !(view.is_mirrored() && *sided) {
                        let words = words.clone();
                        spoken.push(Spoken { picture, words, is_whole: true, weight: 1.0 });
                    }
                }
            }
        }
        let trunk = TensorData::new(values, [chosen.len(), REGIONS, TRUNK_FEATURES]);
        let mut grids = model.top.forward(Tensor::from_data(trunk, &self.autodiff));
        if self.feature_noise > 0.0 {
            let noise = Distribution::Normal(1.0, self.feature_noise);
            grids = grids.clone() * Tensor::random(grids.dims(), noise, &self.autodiff);
        }
        if let Some(critic) = &self.self_critical {
            // With the noise, so that captions are judged by the features that they were said about.
            let values = grids.clone().into_data().try_into_vec::<f32>();
            let values = values.map_err(|e| Error::Training(format!("{e:?}")))?;
            spoken = self.say(critic, &model.decoder, &values, &chosen, &mut rng)?;
        }
        let units = spoken.iter().map(Spoken::symbols).sum();
        Ok((model.decoder.loss(grids, &spoken, self.lesson), units))
    }

    fn validate(&self, model: &Learner<N>) -> Result<f64> {
        let found = match self.config.attention {
            Attention::None => self.captions(model, 1)?,
            Attention::Additive => {
                let reader = Reader::new(&self.config, &self.tensors(&model.decoder)?)?;
                let mut seen = Vec::with_capacity(self.dev.grids.len());
                for grids in self.dev.grids.chunks(CHORUS) {
                    let features = model.top.features(grids)?;
                    let features = features.par_chunks(REGIONS * FEATURES);
                    seen.par_extend(features.map(|grid| reader.look(grid)));
                }
                let said = seen
                    .par_chunks(CHORUS)
                    .flat_map_iter(|seen| reader.speak(seen, MAX_WORDS, |_, scores| likeliest(scores)));
                let words = said.map(|ids| ids.into_iter().map(usize::from).collect::<Vec<_>>());
                words.map(|ids| self.words.decode(&ids)).collect()
            }
        };
        // The same mixture as is learned from, or the best model would be the one that learned least.
        let weights = self.self_critical.as_ref().map(|critic| critic.weights).unwrap_or_default();
        let mut score = cider_d(&found, &self.dev.references);
        if weights.meteor > 0.0 {
            score += weights.meteor * meteor(&found, &self.dev.references);
        }
        if weights.bleu > 0.0 {
            score += weights.bleu * bleu(&found, &self.dev.references)[0];
        }
        Ok(score)
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn score_name(&self) -> &'static str {
        self.self_critical.as_ref().map_or(CIDER, SelfCritical::name)
    }

    fn unit_name(&self) -> &'static str {
        "words"
    }

    fn export(&self, model: &Learner<N>, score: f64) -> Result<()> {
        let json = |e: serde_json::Error| Error::Training(e.to_string());
        let mut tensors = self.encoder.clone();
        model.top.put_into(&mut tensors)?;
        model.decoder.put_into(&mut tensors)?;
        let found = self.captions(model, 3)?;
        let round = |v: f64, digits: i32| (v * 10f64.powi(digits)).round() / 10f64.powi(digits);
        let [b1, _, _, b4] = bleu(&found, &self.dev.references);
        let metrics = serde_json::json!({
            "beam": 3, "bleu_1": round(100.0 * b1, 2), "bleu_4": round(100.0 * b4, 2),
            "cider_d": round(cider_d(&found, &self.dev.references), 4), "validation": round(score, 4),
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
        let captions = self.photos.iter().flat_map(|p| p.captions.iter().map(Vec::as_slice));
        serde_json::json!({
            "model": "captioner", "config": self.config, "views": self.photos.first().map(|p| p.grids.len()),
            "smoothing": self.lesson.smoothing, "coverage": self.lesson.coverage,
            "feature_noise": self.feature_noise,
            "encoder_rate": self.encoder_rate, "self_critical": self.self_critical.as_ref().map(|c| (c.samples, c.weights.meteor, c.weights.bleu)),
            "words": self.words, "encoder": encoder, "batches": self.plans.identity(captions),
        })
    }
}
