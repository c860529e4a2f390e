//! What crosses between the page and the songwriter, as plain objects.

use serde::{Deserialize, Serialize};

use crate::lyricist::{Foresight, Kind, Song};
use crate::verse::{Mood, Scheme};
use crate::{Error, Prompt, SongOptions};

/// Songs to write; what is missing is left to the defaults. The seed is text because a JavaScript
/// number does not hold 64 bits.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct SongRequest {
    /// Its words are what the songs are about, unless there are keywords.
    pub(super) caption: String,
    pub(super) keywords: Option<Vec<String>>,
    /// What the songs begin with.
    pub(super) seed_text: String,
    pub(super) mood: Option<Mood>,
    pub(super) kind: Option<Kind>,
    pub(super) scheme: Scheme,
    pub(super) lines: usize,
    pub(super) stanzas: usize,
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    pub(super) choose: bool,
    pub(super) random_seed: String,
    pub(super) songs: usize,
}

/// Most songs at once: a browser's memory is not ours alone.
pub(super) const MOST_SONGS: usize = 8;

impl Default for SongRequest {
    fn default() -> Self {
        let options = SongOptions::default();
        Self {
            caption: String::new(),
            keywords: None,
            seed_text: String::new(),
            mood: options.mood,
            kind: options.kind,
            scheme: options.scheme,
            lines: options.lines,
            stanzas: options.stanzas,
            temperature: options.temperature,
            top_p: options.top_p,
            choose: options.choose,
            random_seed: options.random_seed.to_string(),
            songs: 3,
        }
    }
}

impl SongRequest {
    /// What is asked for, checked as far as its form goes.
    pub(super) fn prompt_and_options(self) -> Result<(Prompt, SongOptions), Error> {
        let random_seed = self.random_seed.parse().map_err(|_| {
            Error::Data(format!(
                "{:?} is no random seed: it has to be a whole number from 0 to {}.",
                self.random_seed,
                u64::MAX
            ))
        })?;
        let options = SongOptions {
            temperature: self.temperature,
            top_p: self.top_p,
            random_seed,
            lines: self.lines,
            stanzas: self.stanzas,
            kind: self.kind,
            mood: self.mood,
            scheme: self.scheme,
            choose: self.choose,
        };
        let mut prompt = Prompt::from_caption(&self.caption);
        if let Some(keywords) = self.keywords {
            prompt.keywords = keywords;
        }
        prompt.text = self.seed_text;
        Ok((prompt, options))
    }
}

/// A part of a song while it is written.
#[derive(Serialize)]
pub(super) struct Piece<'a> {
    pub(super) song: usize,
    pub(super) text: &'a str,
}

/// Written songs.
#[derive(Serialize)]
pub(super) struct SongsAnswer {
    pub(super) songs: Vec<SongAnswer>,
}

#[derive(Serialize)]
pub(super) struct SongAnswer {
    pub(super) text: String,
    pub(super) random_seed: String,
    pub(super) temperature: f32,
    pub(super) keywords: Vec<KeywordAnswer>,
    /// Number of characters of the seed text that are unknown.
    pub(super) left_out: usize,
}

#[derive(Serialize)]
pub(super) struct KeywordAnswer {
    pub(super) word: String,
    pub(super) used: Option<String>,
    /// Whether the song holds it; not told before there is a song.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) present: Option<bool>,
}

/// What was expected at a place of a text; `null` in place of a character is the end.
#[derive(Serialize)]
pub(super) struct ForesightAnswer {
    pub(super) next: Option<char>,
    pub(super) p: f32,
    pub(super) likeliest: Vec<(Option<char>, f32)>,
}

/// What can be asked for.
#[derive(Serialize)]
pub(super) struct OptionsAnswer {
    pub(super) moods: [Mood; 3],
    pub(super) kinds: [Kind; 5],
    pub(super) schemes: [Scheme; 4],
    pub(super) defaults: DefaultsAnswer,
    pub(super) limits: LimitsAnswer,
}

#[derive(Serialize)]
pub(super) struct DefaultsAnswer {
    #[serde(flatten)]
    pub(super) options: SongOptions,
    pub(super) songs: usize,
}

/// Lowest and highest values.
#[derive(Serialize)]
pub(super) struct LimitsAnswer {
    pub(super) lines: [usize; 2],
    pub(super) stanzas: [usize; 2],
    pub(super) temperature: [f32; 2],
    pub(super) top_p: [f32; 2],
    pub(super) songs: [usize; 2],
    pub(super) keywords: usize,
}

/// Characters that are told of at each place of a song.
pub(super) const SHOWN: usize = 6;

impl From<Foresight> for ForesightAnswer {
    fn from(foresight: Foresight) -> Self {
        Self { next: foresight.next, p: foresight.p, likeliest: foresight.likeliest }
    }
}

impl From<Song> for SongAnswer {
    fn from(song: Song) -> Self {
        let keywords = song.keywords.iter().map(|k| KeywordAnswer {
            word: k.word.clone(),
            used: k.used.clone(),
            present: Some(song.holds(k)),
        });
        Self {
            keywords: keywords.collect(),
            random_seed: song.random_seed.to_string(),
            temperature: song.temperature,
            left_out: song.left_out,
            text: song.text,
        }
    }
}
