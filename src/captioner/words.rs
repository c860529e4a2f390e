//! The words that captions are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Starts and ends every caption.
pub const END: usize = 0;
/// Stands for every word that is too rare to be learned.
pub const UNKNOWN: usize = 1;

const SPECIALS: [&str; 2] = ["<end>", "<unk>"];

/// Vocabulary: words and their ids, which count from 0 without gaps. Id 0 is [`END`], id 1 is
/// [`UNKNOWN`]; the others are ordered from the most to the least frequent.
///
/// As JSON (`words.json`) it is the array of the words, the index being the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Words {
    words: Vec<String>,
    ids: BTreeMap<String, usize>,
}

impl TryFrom<Vec<String>> for Words {
    type Error = Error;

    fn try_from(words: Vec<String>) -> Result<Self> {
        if words.get(..SPECIALS.len()).is_none_or(|first| first != SPECIALS) {
            return Err(Error::model("captioner", "its words do not begin with <end> and <unk>"));
        }
        let ids: BTreeMap<String, usize> =
            words.iter().enumerate().map(|(id, word)| (word.clone(), id)).collect();
        if ids.len() < words.len() {
            return Err(Error::model("captioner", "a word is listed twice"));
        }
        Ok(Self { words, ids })
    }
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        words.words
    }
}

impl Words {
    /// The words that occur at least `min_count` times. Words equally frequent are in alphabetical
    /// order, so the same captions always give the same ids.
    pub fn from_captions<'a>(captions: impl IntoIterator<Item = &'a [String]>, min_count: usize) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        for word in captions.into_iter().flatten() {
            *counts.entry(word).or_default() += 1;
        }
        let mut kept: Vec<(&str, usize)> = counts
            .into_iter()
            .filter(|(word, count)| *count >= min_count && !SPECIALS.contains(word))
            .collect();
        // The sort is stable and the map alphabetical.
        kept.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let words: Vec<String> =
            SPECIALS.into_iter().chain(kept.into_iter().map(|(word, _)| word)).map(Into::into).collect();
        let ids = words.iter().enumerate().map(|(id, word)| (word.clone(), id)).collect();
        Self { words, ids }
    }

    /// Number of ids, the two special ones included.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word but the special ones.
    pub fn is_empty(&self) -> bool {
        self.words.len() == SPECIALS.len()
    }

    /// The id of a word, [`UNKNOWN`] if it is not in the vocabulary.
    pub fn id(&self, word: &str) -> usize {
        self.ids.get(word).copied().unwrap_or(UNKNOWN)
    }

    /// The word of an id; none for the special ids and for those past the end.
    pub fn word(&self, id: usize) -> Option<&str> {
        if id < SPECIALS.len() { None } else { self.words.get(id).map(String::as_str) }
    }

    /// Ids of a caption's words, with [`END`] behind them but not before.
    pub fn encode(&self, caption: &[String]) -> Vec<usize> {
        caption.iter().map(|word| self.id(word)).chain([END]).collect()
    }

    /// Words of the ids up to the first [`END`]. Unknown words are left out: nobody wants to read
    /// `<unk>`.
    pub fn decode(&self, ids: &[usize]) -> Vec<String> {
        let caption = ids.iter().take_while(|id| **id != END);
        caption.filter_map(|id| self.word(*id)).map(Into::into).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caption(text: &str) -> Vec<String> {
        text.split(' ').map(Into::into).collect()
    }

    fn toy() -> Words {
        let captions = [caption("a dog runs"), caption("a dog and a cat"), caption("the cat <unk>")];
        Words::from_captions(captions.iter().map(Vec::as_slice), 2)
    }

    #[test]
    fn frequent_words_come_first() {
        let json = serde_json::to_string(&toy()).unwrap();
        assert_eq!(json, r#"["<end>","<unk>","a","cat","dog"]"#);
        assert_eq!(serde_json::from_str::<Words>(&json).unwrap(), toy());
        assert_eq!(toy().len(), 5);
    }

    #[test]
    fn unknown_words_are_never_printed() {
        let words = toy();
        let ids = words.encode(&caption("a zebra and a dog"));
        assert_eq!(ids, [2, 1, 1, 2, 4, 0]);
        assert_eq!(words.decode(&ids), ["a", "a", "dog"]);
        assert_eq!(words.decode(&[4, 999, 0, 3]), ["dog"]);
        assert_eq!(words.word(UNKNOWN), None);
    }

    #[test]
    fn lists_that_are_no_vocabulary_are_refused() {
        for json in [r#"["a","b"]"#, "[]", r#"["<end>","<unk>","a","a"]"#] {
            assert!(serde_json::from_str::<Words>(json).is_err(), "{json}");
        }
    }
}
