//! `songwriter write`.

use std::io::{IsTerminal, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;

use super::{DeviceKind, models_folder, print, tell};
use crate::captioner::Captioner;
use crate::error::{Error, Result};
use crate::lyricist::brief::MAX_KEYWORDS;
use crate::lyricist::{Keyword, Kind, Lyricist, Prompt, Song, SongOptions};
use crate::nn::{Compute, block_on};
use crate::picture::Picture;
use crate::verse::{Mood, Scheme};
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

/// Options of `write`.
#[derive(Debug, Args)]
pub struct WriteArguments {
    /// A picture to write about: JPEG, PNG, WebP, GIF or BMP
    #[arg(value_name = "PICTURE", required_unless_present_any = ["seed", "keywords"])]
    pub picture: Option<PathBuf>,
    /// Text to go on from
    #[arg(short, long, value_name = "TEXT")]
    pub seed: Option<String>,
    /// Words to write about, with commas between them; in place of those of the picture's caption
    #[arg(short, long, value_delimiter = ',', value_name = "WORDS")]
    pub keywords: Option<Vec<String>>,
    /// Number of songs
    #[arg(short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub n: u32,
    /// song, ballad, hymn, nursery or poem (default: left to the network)
    #[arg(long)]
    pub kind: Option<Kind>,
    /// joyful, plain or sad (default: left to the network)
    #[arg(short, long)]
    pub mood: Option<Mood>,
    /// Which lines rhyme: aabb, abab, abcb or off
    #[arg(short, long, default_value_t = SongOptions::default().scheme)]
    pub rhyme: Scheme,
    /// Lines of a stanza
    #[arg(short, long, default_value_t = SongOptions::default().lines)]
    pub lines: usize,
    /// Stanzas of a song
    #[arg(long, default_value_t = SongOptions::default().stanzas)]
    pub stanzas: usize,
    /// A whole song: three stanzas, unless --stanzas says otherwise
    #[arg(long, conflicts_with = "stanzas")]
    pub whole: bool,
    /// Above 0 and at most 2: low plays safe, high dares
    #[arg(short, long, default_value_t = SongOptions::default().temperature)]
    pub temperature: f32,
    /// Draw only from the likeliest characters that together have this share of the probability
    #[arg(long, default_value_t = SongOptions::default().top_p)]
    pub top_p: f32,
    /// Take what the network draws first: one draft a line, no choice by rhyme, keywords and sense
    #[arg(long)]
    pub plain: bool,
    /// The same number gives the same song (default: another each time); further songs count up
    #[arg(long)]
    pub random_seed: Option<u64>,
    /// What `caption` and `write` share
    #[command(flatten)]
    pub common: Common,
}

impl WriteArguments {
    fn options(&self, random_seed: u64) -> SongOptions {
        SongOptions {
            temperature: self.temperature,
            top_p: self.top_p,
            random_seed,
            lines: self.lines,
            stanzas: if self.whole { WHOLE_SONG } else { self.stanzas },
            kind: self.kind,
            mood: self.mood,
            scheme: self.rhyme,
            choose: !self.plain,
        }
    }
}

/// Stanzas of a whole song.
const WHOLE_SONG: usize = 3;

/// Songs that are written at once: enough to read each weight for many characters.
const AT_ONCE: u32 = 8;

#[derive(Debug, Serialize)]
struct SongLine {
    text: String,
    random_seed: u64,
    temperature: f32,
    keywords: Vec<KeywordLine>,
}

#[derive(Debug, Serialize)]
struct KeywordLine {
    word: String,
    used: Option<String>,
    present: bool,
}

#[derive(Debug, Serialize)]
struct WriteLine {
    picture: Option<String>,
    caption: Option<String>,
    songs: Vec<SongLine>,
}

impl From<Song> for SongLine {
    fn from(song: Song) -> Self {
        let keywords = song
            .keywords
            .iter()
            .map(|k| KeywordLine { word: k.word.clone(), used: k.used.clone(), present: song.holds(k) })
            .collect();
        Self { random_seed: song.random_seed, temperature: song.temperature, keywords, text: song.text }
    }
}

pub(super) fn open_captioner(common: &Common, compute: &Compute) -> Result<Captioner> {
    let folder = models_folder(common.models.as_ref()).join("captioner");
    Captioner::new(&ModelFiles::open(&folder)?, compute)
}

pub(super) fn open_picture(path: &Path) -> Result<Picture> {
    // A picture that is larger than this as a file would be refused for its size anyway.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    file.take(1 << 29).read_to_end(&mut bytes).map_err(Error::io(path))?;
    Picture::from_bytes(&path.display().to_string(), &bytes)
}

pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map(|line| line + "\n").map_err(|e| Error::Usage(e.to_string()))
}

/// Writes songs about a picture, about words or from a seed text. On a terminal they appear line by
/// line.
///
/// # Errors
/// The models can't be loaded, the picture can't be read, or an option is out of range.
pub fn write(a: &WriteArguments, stop: &AtomicBool) -> Result<()> {
    let first_seed = a.random_seed.unwrap_or_else(fresh_seed);
    a.options(first_seed).check()?;
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
    let mut prompt = caption.as_deref().map(Prompt::from_caption).unwrap_or_default();
    if let Some(keywords) = &a.keywords {
        prompt.keywords = keywords.iter().filter(|word| !word.trim().is_empty()).cloned().collect();
    }
    prompt.text = a.seed.clone().unwrap_or_default();
    if a.keywords.is_some() {
        for keyword in lyricist.resolve(&prompt.keywords) {
            tell_keyword(&keyword);
        }
    }
    let plain = !a.common.json;
    if let (true, Some(caption)) = (plain, &caption) {
        print(&format!("{caption}\n\n"))?;
    }
    // Several songs are written at once, so only one alone can be shown as it grows.
    let stream = plain && a.n == 1 && std::io::stdout().is_terminal();
    let mut songs: Vec<SongLine> = Vec::new();
    for first in (0..a.n).step_by(AT_ONCE as usize) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let options = a.options(first_seed.wrapping_add(first.into()));
        let mut shown = 0;
        let show = async |_: usize, text: &str| {
            let told = if stream { print(&text[shown..]) } else { Ok(()) };
            shown = text.len();
            if told.is_err() || stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let count = AT_ONCE.min(a.n - first) as usize;
        for song in block_on(lyricist.write(&prompt, &options, count, show))? {
            if song.left_out > 0 && songs.is_empty() {
                tell(&format!(
                    "songwriter: {} character(s) of the text are unknown and were left out.",
                    song.left_out
                ));
            }
            if plain {
                let (gap, text) =
                    (if songs.is_empty() { "" } else { "\n" }, if stream { "" } else { &song.text });
                print(&format!("{gap}{text}\n"))?;
            }
            songs.push(song.into());
        }
    }
    if !plain {
        let picture = a.picture.as_ref().map(|p| p.display().to_string());
        print(&json(&WriteLine { picture, caption, songs })?)?;
    } else if a.random_seed.is_none() && std::io::stderr().is_terminal() {
        tell(&format!("(--random-seed {first_seed} gives this again)"));
    }
    Ok(())
}

/// Says what became of a keyword that someone asked for, if it is not used as it stands.
fn tell_keyword(keyword: &Keyword) {
    match &keyword.used {
        Some(used) if *used == keyword.word.trim().to_lowercase() => {}
        Some(used) => tell(&format!("songwriter: {:?} is not known; {used:?} stands for it.", keyword.word)),
        None => tell(&format!(
            "songwriter: {:?} is left out: it is not known, or {MAX_KEYWORDS} keywords are there already.",
            keyword.word
        )),
    }
}

/// A seed that is another one each time, short enough to be typed again.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |d| d.as_nanos() as u64);
    crate::lyricist::Rng::new(nanos ^ u64::from(std::process::id())).next_u64() % 1_000_000
}
