//! Where lyrics may be: what is asked, and what is answered.

use std::time::Duration;

use super::names::{normalise, variants};
use super::tracks::Track;
use crate::error::Error;

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By exact artist and title.
    Get,
    /// By a search whose results are looked through for artist and title.
    Search,
}

/// One question to one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// How it is put.
    pub way: Way,
    /// Whose song.
    pub artist: String,
    /// Which song.
    pub title: String,
}

impl Question {
    /// What the journal knows the question by: two that the source can't tell apart have one key.
    pub fn key(&self) -> String {
        let way = match self.way {
            Way::Get => "get",
            Way::Search => "search",
        };
        format!("{way}\t{}\t{}", normalise(&self.artist), normalise(&self.title))
    }
}

/// The questions for a song, in the order in which they are put until one is answered with lyrics;
/// none for a song without artist or title.
pub fn questions(track: &Track, search: bool) -> Vec<Question> {
    if normalise(&track.artist).is_empty() || normalise(&track.title).is_empty() {
        return Vec::new();
    }
    let forms = variants(&track.artist, &track.title);
    let last = forms.last().cloned().filter(|_| search);
    let ask = |way| move |(artist, title)| Question { way, artist, title };
    forms.into_iter().map(ask(Way::Get)).chain(last.into_iter().map(ask(Way::Search))).collect()
}

/// What a source knows of a song.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Lyrics as the source has them.
    Found(String),
    /// Nobody sings.
    Instrumental,
    /// It has nothing.
    Missing,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// It may work another time, after a pause if one was asked for.
    Passing {
        /// What happened, in words that are the same for each fault of its kind.
        why: String,
        /// How long the source wants to be left alone.
        pause: Option<Duration>,
    },
    /// Asking again would not help.
    Refused(String),
    /// The source can't be used any more.
    Fatal(Error),
}

/// Somewhere to look for lyrics.
pub trait Source: Send + Sync {
    /// What the journal knows the source by.
    fn name(&self) -> &str;

    /// Whether it belongs to somebody else, so that it is asked no faster than is polite.
    fn remote(&self) -> bool {
        false
    }

    /// Whether it is asked by search, too.
    fn searches(&self) -> bool {
        false
    }

    /// Asks.
    ///
    /// # Errors
    /// There is no answer.
    fn ask(&self, question: &Question) -> Result<Answer, Fault>;
}

/// Lyrics of an entry: the plain ones, else those with time stamps, else nothing.
pub fn answer(instrumental: bool, plain: Option<String>, synced: Option<String>) -> Answer {
    let lyrics = [plain, synced].into_iter().flatten().find(|text| !text.trim().is_empty());
    match lyrics {
        Some(text) => Answer::Found(text),
        None if instrumental => Answer::Instrumental,
        None => Answer::Missing,
    }
}
