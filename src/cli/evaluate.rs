//! `songwriter evaluate`: how good the models are, on data that they did not see.

use crate::captioner::features::{Grid, View};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::sense::{self, LyricsArguments};
use super::{models_folder, print};
use crate::captioner::top::EncoderTop;
use crate::captioner::{Decoder, WORDS};
use crate::corpus::flickr8k::{Flickr8k, Split};
use crate::error::Result;
use crate::nn::Compute;
use crate::results::Scores;
use crate::training::captioner::{captions, split as split_words};
use crate::weights::{CONFIG, ModelFiles};

/// Which model to measure.
#[derive(Debug, Subcommand)]
pub enum Evaluate {
    /// Measure captions against people's: BLEU-1 to 4, ROUGE-L, CIDEr-D
    #[command(after_help = "Example:
  songwriter evaluate captions --data flickr8k --split dev --json")]
    Captions(CaptionsArguments),
    /// Measure how well the lyricist foretells verse, and whether its songs make sense
    #[command(
        after_help = "Bits per character: every character and the end symbol of each stanza is counted; no prompt is given.
With --songs N, N songs are written at each temperature about keywords of the data's own stanzas, and
measured beside those stanzas: share of dictionary words, of pairs that rhyme, spread of syllables,
distinct-2, loops, keywords held, keywords of another song held by chance, mood (VADER), and the longest
run copied from the data that was not held out (median and 99.9th percentile over the songs).

Examples:
  songwriter evaluate lyrics --data unseen.csv.gz --json
  songwriter evaluate lyrics --data songs.csv.gz --held-out 2 --songs 100
  songwriter evaluate lyrics --data songs.csv.gz --held-out 2 --songs 500 --temperatures 0.8 --moods"
    )]
    Lyrics(LyricsArguments),
}

/// Options of `evaluate captions`.
#[derive(Debug, Args)]
pub struct CaptionsArguments {
    /// Folder laid out as Flickr8k is
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Which photos
    #[arg(long, value_enum, default_value = "dev")]
    pub split: SplitName,
    /// Sentences kept in view while captioning; 1 is greedy
    #[arg(long, default_value_t = 3)]
    pub beam: usize,
    /// Folder with the trained models (captioner/ and lyricist/)
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub models: Option<PathBuf>,
    /// Folder of the captioner alone
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder where the photos' features are kept between runs
    #[arg(long, default_value = "features", value_name = "DIR")]
    pub features: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// A part of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// Photos that were trained on
    Train,
    /// Photos that were held out
    Dev,
}

/// Runs the measurement asked for and prints it.
///
/// # Errors
/// Model or data can't be used.
pub fn run(command: &Evaluate, stop: &AtomicBool) -> Result<()> {
    let (found, as_json) = match command {
        Evaluate::Captions(a) => (measure_captions(a, stop)?, a.json),
        Evaluate::Lyrics(a) => return sense::run(a, stop),
    };
    match found {
        Value::Object(map) if !as_json => {
            let lines = map.iter().map(|(key, value)| format!("{key:>20}  {value}\n"));
            print(&lines.collect::<String>())
        }
        found => print(&format!("{found}\n")),
    }
}

pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn measure_captions(a: &CaptionsArguments, stop: &AtomicBool) -> Result<Value> {
    let folder = a.model.clone().unwrap_or_else(|| models_folder(a.models.as_ref()).join("captioner"));
    let files = ModelFiles::open(&folder)?;
    let tensors = files.tensors()?;
    let decoder = Decoder::new(&files.json(CONFIG)?, files.json(WORDS)?, &tensors, &Compute::cpu())?;
    let data = Flickr8k::open(&a.data)?;
    let split = data.split(match a.split {
        SplitName::Train => Split::Train,
        SplitName::Dev => Split::Dev,
    });
    let photos: Vec<(&Path, &[View])> =
        split.iter().map(|c| (c.image.as_path(), &[View::Whole] as &[View])).collect();
    let mut features = super::progress::features(&a.features, &photos, &tensors.only("encoder."), stop)?;
    let grids: Vec<Grid> =
        split.iter().map(|c| features.take(&c.name, View::Whole)).collect::<Result<_>>()?;
    let top = EncoderTop::load(&tensors, 0.0, Compute::cpu().device())?;
    let found = split_words(&captions(&decoder, &top, &grids, a.beam)?);
    let references: Vec<_> = split.iter().map(|c| c.captions.clone()).collect();
    let scores = Scores::of(&found, &references);
    let [b1, b2, b3, b4] = scores.bleu.map(|b| round(b, 2));
    Ok(json!({
        "pictures": found.len(), "beam": a.beam,
        "bleu_1": b1, "bleu_2": b2, "bleu_3": b3, "bleu_4": b4,
        "rouge_l": round(scores.rouge_l, 2), "meteor": round(scores.meteor, 2),
        "cider_d": round(scores.cider_d, 4), "distinct_share": round(scores.distinct_share, 3),
    }))
}
