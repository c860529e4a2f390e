//! Training the lyricist, in one of two regimes: on stanzas, padded to a common length, the padding
//! masked; or on whole songs, read window by window with the memory carried on.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};

use super::batches::{Plans, pad};
use super::runner::Task;
use super::streams::Streams;
use crate::corpus::lyrics::Stanza;
use crate::error::{Error, Result};
use crate::lyricist::Rng;
use crate::lyricist::alphabet::{Alphabet, END};
use crate::lyricist::brief::{Brief, MAX_KEYWORDS};
use crate::lyricist::char_rnn::{CharRnn, CharRnnConfig};
use crate::lyricist::writer::{ALPHABET, KEYWORDS};
use crate::verse::Mood;
use crate::verse::keywords::{KeywordVocabulary, content_words};
use crate::weights::{CONFIG, Manifest, TENSORS, write_folder};

/// Characters that are measured at once: enough to keep the cores busy, little memory.
const MEASURED_AT_ONCE: usize = 12_800;

/// Of longer texts, so many characters at a time are measured, the network's memory carried on.
const MEASURED_WINDOW: usize = 512;

/// Stanzas as ids, without the end symbol.
pub type Encoded = Vec<Vec<u16>>;

/// Encodes stanzas; returns them and the number of characters that had to be left out.
pub fn encode<'a>(alphabet: &Alphabet, stanzas: impl IntoIterator<Item = &'a str>) -> (Encoded, usize) {
    let mut dropped = 0;
    let encoded = stanzas
        .into_iter()
        .map(|text| {
            let (ids, lost) = alphabet.encode(text);
            dropped += lost;
            ids.into_iter().map(|id| id as u16).collect()
        })
        .collect();
    (encoded, dropped)
}

/// Whole songs out of stanzas, blank lines between them.
pub fn whole_songs(stanzas: &[&Stanza]) -> Vec<String> {
    let songs = stanzas.chunk_by(|a, b| a.song == b.song);
    songs.map(|song| song.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join("\n\n")).collect()
}

/// All that the network could be told about a stanza.
pub fn describe(stanza: &Stanza, vocabulary: &KeywordVocabulary) -> Brief {
    let known = content_words(&stanza.text).into_iter();
    let keywords = known.filter_map(|w| vocabulary.find(&w).filter(|k| k.exact).map(|k| k.index)).collect();
    Brief {
        kind: stanza.kind,
        mood: Some(Mood::of(&stanza.text)),
        lines: Some(stanza.text.lines().count()),
        keywords,
    }
}

/// Share of the stanzas that the network is told nothing about in training.
const TOLD_NOTHING: f64 = 0.25;
/// Share of the other stanzas from which a kind, a mood or a number of lines is left out.
const LEFT_OUT: f64 = 0.25;

/// What the network is told about a stanza this time: nothing, or each part by chance, with none to
/// [`MAX_KEYWORDS`] of the keywords.
fn tell(all: &Brief, rng: &mut Rng) -> Vec<usize> {
    if rng.uniform() < TOLD_NOTHING {
        return Vec::new();
    }
    let mut kept = || rng.uniform() >= LEFT_OUT;
    let (kind, mood, lines) = (kept(), kept(), kept());
    let mut keywords = all.keywords.clone();
    rng.shuffle(&mut keywords);
    keywords.truncate(rng.below(MAX_KEYWORDS + 1));
    Brief {
        kind: all.kind.filter(|_| kind),
        mood: all.mood.filter(|_| mood),
        lines: all.lines.filter(|_| lines),
        keywords,
    }
    .ids()
}

/// Bits per character over stanzas: every character and the end symbol counted, each stanza from
/// the zero state. `briefs`, if there are any, are what the network is told about each.
///
/// # Errors
/// There is nothing to measure on.
pub fn bits_per_char(
    model: &CharRnn,
    stanzas: &Encoded,
    briefs: &[Vec<usize>],
    device: &Device,
) -> Result<f64> {
    let mut order: Vec<(&[u16], Option<&Vec<usize>>)> =
        stanzas.iter().enumerate().map(|(i, s)| (s.as_slice(), briefs.get(i))).collect();
    order.sort_by_key(|(s, _)| s.len());
    let (mut nats, mut characters) = (0.0, 0usize);
    let mut rest = order.as_slice();
    while let Some((shortest, _)) = rest.first() {
        // Of like length, so the batch is hardly larger than its shortest times their number.
        let size = (MEASURED_AT_ONCE / (shortest.len() + 1).min(MEASURED_WINDOW)).clamp(1, rest.len());
        let (chunk, left) = rest.split_at(size);
        rest = left;
        let (texts, told): (Vec<&[u16]>, Vec<_>) = chunk.iter().copied().unzip();
        let told: Vec<Vec<usize>> = told.into_iter().map(|b| b.cloned().unwrap_or_default()).collect();
        let batch = pad(&texts, END, device);
        let (time, mut states) = (batch.mask.dims()[0], None);
        for from in (0..time).step_by(MEASURED_WINDOW) {
            let length = MEASURED_WINDOW.min(time - from);
            let (inputs, targets) =
                (batch.inputs.clone().narrow(0, from, length), batch.targets.clone().narrow(0, from, length));
            let mask = batch.mask.clone().narrow(0, from, length);
            let (loss, after) = model.loss(inputs, targets, mask, &told, states.as_ref());
            states = Some(after);
            nats += f64::from(loss.into_scalar::<f32>());
        }
        characters += batch.units;
    }
    if characters == 0 {
        return Err(Error::Data("There are no stanzas to measure on.".into()));
    }
    Ok(nats / characters as f64 / std::f64::consts::LN_2)
}

/// What an update learns from.
#[derive(Debug)]
pub enum Regime {
    /// Stanzas, each from the zero state: which ones an update takes.
    Stanzas(Plans),
    /// Windows of whole songs, the network's memory carried from one to the next.
    Songs(Streams),
}

impl Regime {
    /// Updates in a pass over the data.
    pub fn per_epoch(&self) -> usize {
        match self {
            Self::Stanzas(plans) => plans.per_epoch(),
            Self::Songs(streams) => streams.per_epoch(),
        }
    }
}

/// The lyricist's task.
#[derive(Debug)]
pub struct LyricistTask {
    /// Architecture.
    pub config: CharRnnConfig,
    /// Characters.
    pub alphabet: Alphabet,
    /// Words that can be keywords.
    pub keywords: KeywordVocabulary,
    /// Stanzas to learn from.
    pub train: Encoded,
    /// What the network can be told about each of them; empty if it is never told anything.
    pub briefs: Vec<Brief>,
    /// Stanzas of other sources, to measure on.
    pub held_out: Encoded,
    /// Seed of what is left out of the briefs.
    pub seed: u64,
    /// What an update learns from.
    pub regime: Regime,
    /// Where batches go to be measured.
    pub device: Device,
    /// Where batches go to be learnt from, with autodiff.
    pub autodiff: Device,
    /// Folder of the exported model.
    pub out: PathBuf,
    /// What the manifest says of the data.
    pub data: String,
    /// What the manifest says of the licence.
    pub licence: String,
}

impl Task for LyricistTask {
    type Model = CharRnn;

    fn loss(&self, model: &CharRnn, step: usize) -> Result<(Tensor<1>, usize)> {
        let plans = match &self.regime {
            Regime::Stanzas(plans) => plans,
            Regime::Songs(streams) => {
                let (batch, begins) = streams.window(step, &self.autodiff);
                let before = if begins { None } else { streams.carried(step)? };
                let (loss, after) = model.loss(batch.inputs, batch.targets, batch.mask, &[], before.as_ref());
                streams.carry(step, after);
                return Ok((loss, batch.units));
            }
        };
        let chosen = plans.batch(step);
        let stanzas: Vec<&[u16]> = chosen.iter().map(|&i| self.train[i].as_slice()).collect();
        let mut rng = Rng::new(self.seed ^ (step as u64).wrapping_mul(0xd134_2543_de82_ef95));
        let briefs: Vec<Vec<usize>> =
            chosen.iter().filter_map(|&i| self.briefs.get(i)).map(|brief| tell(brief, &mut rng)).collect();
        let batch = pad(&stanzas, END, &self.autodiff);
        Ok((model.loss(batch.inputs, batch.targets, batch.mask, &briefs, None).0, batch.units))
    }

    fn memory(&self) -> Result<Vec<u8>> {
        match &self.regime {
            Regime::Stanzas(_) => Ok(Vec::new()),
            Regime::Songs(streams) => streams.to_bytes(),
        }
    }

    fn restore(&self, memory: &[u8]) -> Result<()> {
        let Regime::Songs(streams) = &self.regime else { return Ok(()) };
        let CharRnnConfig { cell, hidden_size, layers, .. } = self.config;
        let zeros = |_| cell.zeros(streams.batch(), hidden_size, &self.autodiff);
        streams.restore(memory, &(0..layers).map(zeros).collect())
    }

    fn validate(&self, model: &CharRnn) -> Result<f64> {
        bits_per_char(model, &self.held_out, &[], &self.device)
    }

    fn score_name(&self) -> &'static str {
        "bits/char"
    }

    fn unit_name(&self) -> &'static str {
        "characters"
    }

    fn export(&self, model: &CharRnn, score: f64) -> Result<()> {
        let json = |e: serde_json::Error| Error::Training(e.to_string());
        let manifest = Manifest {
            name: "lyricist".into(),
            files: Vec::new(),
            licence: self.licence.clone(),
            data: self.data.clone(),
            metrics: serde_json::Map::from_iter([(
                "bits_per_char".to_string(),
                serde_json::json!((score * 1e4).round() / 1e4),
            )]),
        };
        let files = [
            (CONFIG, serde_json::to_vec_pretty(&self.config).map_err(json)?),
            (ALPHABET, serde_json::to_vec(&self.alphabet).map_err(json)?),
            (KEYWORDS, serde_json::to_vec(&self.keywords).map_err(json)?),
            (TENSORS, model.tensors()?.to_safetensors(true)?),
        ];
        write_folder(&self.out, manifest, &files)
    }

    fn identity(&self) -> serde_json::Value {
        serde_json::json!({
            "model": "lyricist", "config": self.config, "alphabet": self.alphabet,
            "keywords": self.keywords.words().len(),
            "batches": match &self.regime {
                Regime::Stanzas(plans) => plans.identity(self.train.iter().map(Vec::as_slice)),
                Regime::Songs(streams) => streams.identity(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_place_never_changes_the_loss() {
        let device = Device::flex();
        let config =
            CharRnnConfig { alphabet_size: 9, hidden_size: 8, layers: 2, ..CharRnnConfig::default() };
        let model = config.init(&device);
        let (short, long) = (vec![1u16, 2, 3], vec![4u16, 5, 6, 7, 8, 1, 2]);
        let nats = |stanzas: &[&[u16]]| {
            let b = pad(stanzas, END, &device);
            f64::from(model.loss(b.inputs, b.targets, b.mask, &[], None).0.into_scalar::<f32>())
        };
        let apart = nats(&[&short]) + nats(&[&long]);
        assert!((nats(&[&short, &long]) - apart).abs() < 1e-4 * apart);

        // What stands in the padding is of no account either.
        let b = pad(&[&short, &long], END, &device);
        let padding = b.mask.clone().neg() + 1.0;
        let noise = (padding * 3.0).int();
        let changed =
            model.loss(b.inputs + noise.clone(), b.targets + noise, b.mask, &[], None).0.into_scalar::<f32>();
        assert!((f64::from(changed) - apart).abs() < 1e-4 * apart);
    }

    #[test]
    fn a_small_network_learns_a_small_song() {
        use burn::module::list_param_ids;
        use burn::optim::{AdamConfig, GradientsParams};
        let device = Device::flex().autodiff();
        device.seed(3);
        let config =
            CharRnnConfig { alphabet_size: 5, hidden_size: 24, layers: 2, ..CharRnnConfig::default() };
        let mut model = config.init(&device);
        let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        // What follows "b" depends on what stood before it, so a network without memory would
        // stay above half a bit.
        let song: Vec<u16> = [1, 2, 3, 4, 2, 1].repeat(5);
        let stanzas: Vec<&[u16]> = vec![&song, &song[..17]];
        let mut bits = f64::NAN;
        for _ in 0..200 {
            let b = pad(&stanzas, END, &device);
            let loss = model.loss(b.inputs, b.targets, b.mask, &[], None).0 / b.units as f64;
            bits = f64::from(loss.clone().into_scalar::<f32>()) / std::f64::consts::LN_2;
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            assert_eq!(grads.len(), list_param_ids(&model).len(), "parameters without a gradient");
            model = optimizer.step(0.01, model, grads);
        }
        assert!(bits < 0.2, "{bits} bits a character");
    }
}
