//! `songwriter evaluate`: how good the models are, on data that they did not see.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{models_folder, print};
use crate::captioner::{Decoder, WORDS};
use crate::corpus::flickr8k::{Flickr8k, Split};
use crate::corpus::lyrics::{Lyrics, Stanza};
use crate::error::Result;
use crate::evaluation::captions::{bleu, cider_d, rouge_l};
use crate::lyricist::writer::describe;
use crate::nn::Compute;
use crate::training::captioner::captions;
use crate::training::lyricist::{bits_per_char, encode};
use crate::weights::{CONFIG, ModelFiles};

/// Which model to measure.
#[derive(Debug, Subcommand)]
pub enum Evaluate {
    /// Measure captions against people's: BLEU-1 to 4, ROUGE-L, CIDEr-D
    #[command(after_help = "Example:
  songwriter evaluate captions --data flickr8k --split dev --json")]
    Captions(CaptionsArguments),
    /// Measure how well the lyricist foretells verse: bits per character
    #[command(
        after_help = "Every character and the end symbol of each stanza is counted; no prompt is given.

Example:
  songwriter evaluate lyrics --data unseen.csv.gz --json"
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

/// Options of `evaluate lyrics`.
#[derive(Debug, Args)]
pub struct LyricsArguments {
    /// CSV files (.csv or .csv.gz) with a column "lyrics" or "text"
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Column that holds the lyrics, if it is named otherwise
    #[arg(long)]
    pub column: Option<String>,
    /// Measure only on the per cent of the sources that training with this --held-out left aside
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub held_out: Option<u8>,
    /// Folder with the trained models (captioner/ and lyricist/)
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub models: Option<PathBuf>,
    /// Folder of the lyricist alone
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the measurement asked for and prints it.
///
/// # Errors
/// Model or data can't be used.
pub fn run(command: &Evaluate, stop: &AtomicBool) -> Result<()> {
    let (found, as_json) = match command {
        Evaluate::Captions(a) => (measure_captions(a, stop)?, a.json),
        Evaluate::Lyrics(a) => (measure_lyrics(a)?, a.json),
    };
    match found {
        Value::Object(map) if !as_json => {
            let lines = map.iter().map(|(key, value)| format!("{key:>20}  {value}\n"));
            print(&lines.collect::<String>())
        }
        found => print(&format!("{found}\n")),
    }
}

fn round(value: f64, digits: i32) -> f64 {
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
    let photos: Vec<PathBuf> = split.iter().map(|c| c.image.clone()).collect();
    let features = super::progress::features(&a.features, &photos, &tensors.only("encoder."), stop)?;
    let rows: Vec<Vec<f32>> =
        split.iter().filter_map(|c| features.get(&c.name).map(<[f32]>::to_vec)).collect();
    let found = captions(&decoder, &rows, a.beam)?;
    let references: Vec<_> = split.iter().map(|c| c.captions.clone()).collect();
    let [b1, b2, b3, b4] = bleu(&found, &references).map(|b| round(100.0 * b, 2));
    let different = found.iter().collect::<std::collections::HashSet<_>>().len();
    Ok(json!({
        "pictures": found.len(), "beam": a.beam,
        "bleu_1": b1, "bleu_2": b2, "bleu_3": b3, "bleu_4": b4,
        "rouge_l": round(100.0 * rouge_l(&found, &references), 2),
        "cider_d": round(cider_d(&found, &references), 4),
        "distinct_share": round(different as f64 / found.len().max(1) as f64, 3),
    }))
}

fn measure_lyrics(a: &LyricsArguments) -> Result<Value> {
    let folder = a.model.clone().unwrap_or_else(|| models_folder(a.models.as_ref()).join("lyricist"));
    let files = ModelFiles::open(&folder)?;
    let (alphabet, config) = describe(&files)?;
    let device = burn::tensor::Device::flex();
    let model = config.load(&files.tensors()?, &device)?;
    let mut lyrics = Lyrics::read(&a.data, a.column.as_deref())?;
    if a.held_out.is_some() {
        // The same stanzas as training held out, and none that it learnt from elsewhere.
        lyrics = lyrics.worth_learning();
    }
    let stanzas: Vec<&Stanza> = match a.held_out {
        Some(percent) => lyrics.split(percent.into()).1,
        None => lyrics.stanzas.iter().collect(),
    };
    let (encoded, dropped) = encode(&alphabet, stanzas.iter().map(|s| s.text.as_str()));
    let characters: usize = encoded.iter().map(|s| s.len() + 1).sum();
    let bits = bits_per_char(&model, &encoded, &[], &device)?;
    Ok(json!({
        "bits_per_char": round(bits, 4), "characters": characters, "stanzas": encoded.len(),
        "characters_left_out": dropped,
    }))
}
