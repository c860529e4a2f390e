//! What the network is told about a song before it writes: kind, mood, number of lines, keywords.
//!
//! Each of them has a row in a table of the network ([`super::char_rnn::Context`]); the sum of the
//! rows goes into the gates of the first layer at every character, so it can't be forgotten on the
//! way as a text in front of the song can. Training leaves parts out at random, so that each may be
//! missing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::verse::Mood;
use crate::verse::keywords::KeywordVocabulary;

/// Kind of a song.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A song to be sung with music.
    Song,
    /// A story in verse.
    Ballad,
    /// A song of praise.
    Hymn,
    /// A nursery rhyme.
    Nursery,
    /// A song-like poem.
    Poem,
}

impl Kind {
    /// All kinds, in the order of their rows.
    pub const ALL: [Self; 5] = [Self::Song, Self::Ballad, Self::Hymn, Self::Nursery, Self::Poem];

    /// Its name, which parses back.
    pub fn name(self) -> &'static str {
        match self {
            Self::Song => "song",
            Self::Ballad => "ballad",
            Self::Hymn => "hymn",
            Self::Nursery => "nursery",
            Self::Poem => "poem",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Knows the names and those that end in one of them ("lyric-poem").
    ///
    /// # Errors
    /// The text is none of the names; the message lists them.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        let found = Self::ALL.into_iter().find(|kind| text.rsplit('-').next() == Some(kind.name()));
        found.ok_or_else(|| format!("{text:?} is no kind of song: song, ballad, hymn, nursery or poem"))
    }
}

/// Most lines that the network was told of.
pub const MAX_LINES: usize = 16;

/// Most keywords that a stanza is told to be about in training.
pub const MAX_KEYWORDS: usize = 3;

/// Rows of the table that are not keywords.
const FIXED: usize = Kind::ALL.len() + Mood::ALL.len() + MAX_LINES;

/// What the network is told; each part may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Brief {
    /// Kind of the song.
    pub kind: Option<Kind>,
    /// Mood of the song.
    pub mood: Option<Mood>,
    /// Number of lines; more than [`MAX_LINES`] count as that.
    pub lines: Option<usize>,
    /// Places of the keywords in the vocabulary.
    pub keywords: Vec<usize>,
}

impl Brief {
    /// Number of rows that the table of a network with this vocabulary has.
    pub fn rows(vocabulary: &KeywordVocabulary) -> usize {
        FIXED + vocabulary.words().len()
    }

    /// The rows that stand for what is told, in order.
    pub fn ids(&self) -> Vec<usize> {
        let moods = Kind::ALL.len();
        let lines = moods + Mood::ALL.len();
        let kind = self.kind.and_then(|kind| Kind::ALL.iter().position(|&k| k == kind));
        let mood = self.mood.and_then(|mood| Mood::ALL.iter().position(|&m| m == mood));
        let count = self.lines.filter(|&n| n > 0).map(|n| lines + n.min(MAX_LINES) - 1);
        let told = kind.into_iter().chain(mood.map(|m| moods + m)).chain(count);
        told.chain(self.keywords.iter().map(|&k| FIXED + k)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_row_of_its_own() {
        let vocabulary = KeywordVocabulary::from(vec!["sea".to_string(), "ship".to_string()]);
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL {
            seen.extend(Brief { kind: Some(kind), ..Brief::default() }.ids());
        }
        for mood in Mood::ALL {
            seen.extend(Brief { mood: Some(mood), ..Brief::default() }.ids());
        }
        for lines in 1..=MAX_LINES + 3 {
            seen.extend(Brief { lines: Some(lines), ..Brief::default() }.ids());
        }
        seen.extend(Brief { keywords: vec![0, 1], ..Brief::default() }.ids());
        assert_eq!(seen.len(), Brief::rows(&vocabulary));
        assert_eq!(seen.into_iter().max(), Some(Brief::rows(&vocabulary) - 1));
        assert!(Brief::default().ids().is_empty());
    }

    #[test]
    fn kinds_parse_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("lyric-poem".parse(), Ok(Kind::Poem));
        assert!("opera".parse::<Kind>().is_err());
    }
}
