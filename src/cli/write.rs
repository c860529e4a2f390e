//! `songwriter caption` and `songwriter write`.

use std::io::{IsTerminal, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;

use super::{DeviceKind, models_folder, print, tell};
use crate::captioner::{Caption, Captioner};
use crate::error::{Error, Result};
use crate::lyricist::{Lyricist, Prompt, SongOptions};
use crate::nn::{Compute, block_on};
use crate::picture::Picture;
use crate::weights::ModelFiles;

/// What `caption` and `write` share.
#[derive(Debug, Args)]
pub struct Common {
    /// Sentences kept in view while captioning; 1 is greedy
    #[arg(long, default_value_t = 3)]
    pub beam: usize,
    /// Folder with the trained models (captioner/ and lyricist/)
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value = "cpu")]
    pub device: DeviceKind,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Options of `caption`.
#[derive(Debug, Args)]
pub struct CaptionArguments {
    /// Pictures: JPEG, PNG, WebP, GIF or BMP
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// What `caption` and `write` share
    #[command(flatten)]
    pub common: Common,
}

/// Options of `write`.
#[derive(Debug, Args)]
pub struct WriteArguments {
    /// A picture to write about: JPEG, PNG, WebP, GIF or BMP
    #[arg(value_name = "PICTURE", required_unless_present = "seed")]
    pub picture: Option<PathBuf>,
    /// Text to go on from, in place of a picture
    #[arg(short, long, value_name = "TEXT", conflicts_with = "picture")]
    pub seed: Option<String>,
    /// Number of songs
    #[arg(short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub n: u32,
    /// Above 0 and at most 2: low plays safe, high dares
    #[arg(short, long, default_value_t = SongOptions::default().temperature)]
    pub temperature: f32,
    /// The same number gives the same song (default: another each time); further songs count up
    #[arg(long)]
    pub random_seed: Option<u64>,
    /// Characters after which a song ends with its line if it has not by itself
    #[arg(long, default_value_t = SongOptions::default().max_chars)]
    pub max_chars: usize,
    /// What `caption` and `write` share
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Serialize)]
struct CaptionLine<'a> {
    picture: &'a str,
    caption: &'a str,
    log_prob: f32,
}

#[derive(Debug, Serialize)]
struct SongLine {
    text: String,
    random_seed: u64,
    temperature: f32,
}

#[derive(Debug, Serialize)]
struct WriteLine {
    picture: Option<String>,
    caption: Option<String>,
    songs: Vec<SongLine>,
}

fn open_captioner(common: &Common, compute: &Compute) -> Result<Captioner> {
    let folder = models_folder(common.models.as_ref()).join("captioner");
    Captioner::new(&ModelFiles::open(&folder)?, compute)
}

fn open_picture(path: &Path) -> Result<Picture> {
    // A picture that is larger than this as a file would be refused for its size anyway.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    file.take(1 << 29).read_to_end(&mut bytes).map_err(Error::io(path))?;
    Picture::from_bytes(&path.display().to_string(), &bytes)
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map(|line| line + "\n").map_err(|e| Error::Usage(e.to_string()))
}

/// Says what is in each picture, one line each. A picture that can't be read does not keep the
/// others from being captioned.
///
/// # Errors
/// The models can't be loaded, or a picture could not be read (the last one is named).
pub fn caption(a: &CaptionArguments, stop: &AtomicBool) -> Result<()> {
    let compute = a.common.device.compute()?;
    let captioner = open_captioner(&a.common, &compute)?;
    let mut failed = None;
    for path in &a.pictures {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let picture = match open_picture(path) {
            Ok(picture) => picture,
            Err(error) => {
                if let Some(before) = failed.replace(error) {
                    tell(&format!("songwriter: {before}"));
                }
                continue;
            }
        };
        let Caption { text, log_prob } = block_on(captioner.caption(&picture, a.common.beam))?;
        let name = path.display().to_string();
        print(&if a.common.json {
            json(&CaptionLine { picture: &name, caption: &text, log_prob })?
        } else if a.pictures.len() > 1 {
            format!("{name}: {text}\n")
        } else {
            format!("{text}\n")
        })?;
    }
    failed.map_or(Ok(()), Err)
}

/// Writes songs about a picture or from a seed text. On a terminal they appear letter by letter.
///
/// # Errors
/// The models can't be loaded, the picture can't be read, or an option is out of range.
pub fn write(a: &WriteArguments, stop: &AtomicBool) -> Result<()> {
    let first_seed = a.random_seed.unwrap_or_else(fresh_seed);
    let options = SongOptions { temperature: a.temperature, random_seed: first_seed, max_chars: a.max_chars };
    options.check()?;
    let compute = a.common.device.compute()?;
    let picture = a.picture.as_deref().map(open_picture).transpose()?;
    let folder = models_folder(a.common.models.as_ref()).join("lyricist");
    let lyricist = Lyricist::new(&ModelFiles::open(&folder)?, &compute)?;
    let caption = match &picture {
        Some(picture) => {
            let captioner = open_captioner(&a.common, &compute)?;
            Some(block_on(captioner.caption(picture, a.common.beam))?.text)
        }
        None => None,
    };
    let prompt = match (&caption, &a.seed) {
        (Some(caption), _) => Prompt::from_caption(caption),
        (None, seed) => Prompt::from_seed(seed.as_deref().unwrap_or_default()),
    };
    let plain = !a.common.json;
    if let (true, Some(caption)) = (plain, &caption) {
        print(&format!("{caption}\n\n"))?;
    }
    let stream = plain && std::io::stdout().is_terminal();
    let mut songs = Vec::new();
    for k in 0..u64::from(a.n) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let options = SongOptions { random_seed: first_seed.wrapping_add(k), ..options.clone() };
        let song = block_on(lyricist.write(&prompt, &options, async |piece: &str| {
            let told = if stream { print(piece) } else { Ok(()) };
            if told.is_err() || stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }))?;
        if song.left_out > 0 && k == 0 {
            tell(&format!(
                "songwriter: {} character(s) of the text are unknown and were left out.",
                song.left_out
            ));
        }
        if plain {
            let text = if stream { "" } else { song.text.as_str() };
            print(&format!("{text}\n{}", if k + 1 < u64::from(a.n) { "\n" } else { "" }))?;
        }
        songs.push(SongLine {
            text: song.text,
            random_seed: song.random_seed,
            temperature: song.temperature,
        });
    }
    if !plain {
        let picture = a.picture.as_ref().map(|p| p.display().to_string());
        print(&json(&WriteLine { picture, caption, songs })?)?;
    } else if a.random_seed.is_none() && std::io::stderr().is_terminal() {
        tell(&format!("(--random-seed {first_seed} gives this again)"));
    }
    Ok(())
}

/// A seed that is another one each time, short enough to be typed again.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |d| d.as_nanos() as u64);
    crate::lyricist::Rng::new(nanos ^ u64::from(std::process::id())).next_u64() % 1_000_000
}
