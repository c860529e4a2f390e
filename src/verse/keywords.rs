//! What a song is about: keywords, those that a network knows, and those of a caption.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::words::is_in;
pub use super::words::{closing_words, content_words, hangs, is_stop_word, stem, words};

/// Stem of a word that captions use to words that old songs use instead, best first.
static RELATIVES: LazyLock<HashMap<String, Vec<&str>>> = LazyLock::new(|| {
    let mut relatives: HashMap<String, Vec<&str>> = HashMap::new();
    for line in include_str!("data/relatives.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((songs, captions)) = line.split_once(':') else { continue };
        for word in captions.split_whitespace() {
            relatives.entry(stem(word)).or_default().extend(songs.split(' '));
        }
    }
    relatives
});

/// The words that a network was told of in training, the most frequent first.
///
/// Written as a JSON list of words; their stems are worked out again when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct KeywordVocabulary {
    /// The most frequent form of each stem.
    words: Vec<String>,
    /// Stem to place in `words`.
    by_stem: HashMap<String, usize>,
}

/// A word that the vocabulary knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// Its place in the vocabulary.
    pub index: usize,
    /// The form that the vocabulary holds.
    pub word: &'a str,
    /// Whether it is the word that was asked for, in this or another form, rather than a relative.
    pub exact: bool,
}

impl From<Vec<String>> for KeywordVocabulary {
    fn from(words: Vec<String>) -> Self {
        // Of two words with one stem the first, more frequent one is found.
        let by_stem = words.iter().enumerate().rev().map(|(i, word)| (stem(word), i)).collect();
        Self { words, by_stem }
    }
}

impl From<KeywordVocabulary> for Vec<String> {
    fn from(vocabulary: KeywordVocabulary) -> Self {
        vocabulary.words
    }
}

impl KeywordVocabulary {
    /// The `max` most frequent stems of the texts' content words, each in its most frequent form.
    /// Equally frequent ones are in alphabetical order, so that the same texts give the same list.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>, max: usize) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in texts.into_iter().flat_map(words) {
            *counts.entry(word).or_default() += 1;
        }
        let mut forms: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (word, count) in counts {
            if let Some(word) = content_words(&word).pop() {
                *forms.entry(stem(&word)).or_default().entry(word).or_default() += count;
            }
        }
        let mut stems: Vec<(usize, String)> = forms
            .into_values()
            .filter_map(|forms| {
                let count = forms.values().sum();
                let mut forms: Vec<_> = forms.into_iter().map(|(word, n)| (usize::MAX - n, word)).collect();
                forms.sort_unstable();
                forms.into_iter().next().map(|(_, word)| (count, word))
            })
            .collect();
        stems.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        stems.into_iter().take(max).map(|(_, word)| word).collect::<Vec<_>>().into()
    }

    /// The words, the most frequent first.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// A word of the vocabulary for this one: itself in any form, else the nearest relative (what
    /// songs say instead of a word that photo captions use, else the part of a compound that is
    /// rarer and so says more), else nothing.
    pub fn find(&self, word: &str) -> Option<Known<'_>> {
        let word = word.trim().to_lowercase();
        if let Some(&index) = self.by_stem.get(&stem(&word)) {
            return Some(Known { index, word: &self.words[index], exact: true });
        }
        let index = self.relative(&word).or_else(|| self.compound_part(&word))?;
        Some(Known { index, word: &self.words[index], exact: false })
    }

    /// What songs say instead of the word.
    fn relative(&self, word: &str) -> Option<usize> {
        let relatives = RELATIVES.get(&stem(word))?;
        relatives.iter().find_map(|relative| self.by_stem.get(&stem(relative)).copied())
    }

    /// The part of a compound that says most: "sea" of "seashore". A hyphen tells the parts; where
    /// there is none, both have to be known, or every "message" would hold a "sage".
    fn compound_part(&self, word: &str) -> Option<usize> {
        let part = |part: &str| {
            let known = self.by_stem.get(&stem(part)).copied();
            known.or_else(|| self.relative(part)).filter(|_| !is_stop_word(part))
        };
        if word.contains('-') {
            return word.split('-').filter_map(part).max();
        }
        /// Shorter parts are found in many words that are no compounds.
        const SHORTEST: usize = 3;
        let cuts =
            word.char_indices().map(|(i, _)| i).filter(|&i| i >= SHORTEST && word.len() - i >= SHORTEST);
        let parts = cuts.filter(|_| word.len() > 2 * SHORTEST).filter_map(|cut| {
            let (head, tail) = word.split_at(cut);
            Some((part(head)?, part(tail)?))
        });
        // Of several ways to cut, the one whose more frequent part is the most frequent.
        parts.min_by_key(|&(a, b)| a.min(b)).map(|(a, b)| a.max(b))
    }
}

/// The words of a caption that a song can be about, the best first.
///
/// There is no tagger: short lists and endings tell what kind a word is. First come things,
/// animals and places, then what is done, then people, then qualities, clothes, and colours last;
/// within a kind the caption's order is kept. Words that speak of the photo or only place things
/// in it ("front", "standing", "group") are left out.
///
/// ```
/// use songwriter::verse::keywords::from_caption;
///
/// let caption = "two dogs with a red ball running along the beach in front of a man";
/// assert_eq!(from_caption(caption), ["dogs", "ball", "beach", "running", "man", "red"]);
/// ```
pub fn from_caption(caption: &str) -> Vec<String> {
    let mut words: Vec<String> = content_words(caption).into_iter().filter(|w| !is_in("filler", w)).collect();
    words.sort_by_key(|word| {
        const KINDS: [&str; 6] = ["noun", "colour", "clothes", "adjective", "person", "verb"];
        match KINDS.into_iter().find(|kind| is_in(kind, word)) {
            Some("noun") => 0,
            Some("verb") => 1,
            Some("person") => 2,
            Some("adjective") => 3,
            Some("clothes") => 4,
            Some(_) => 5,
            None if word.ends_with("ing") || word.ends_with("ed") => 1,
            None if word.ends_with("ly") && word.len() > 5 => 3,
            None => 0,
        }
    });
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> KeywordVocabulary {
        let text =
            "sea sea seas snow board child ride play shirt shirts shirts man dark-haired hair age mess";
        KeywordVocabulary::of([text, "the sea and the sea"], 100)
    }

    #[test]
    fn frequent_words_come_first_in_their_most_frequent_form() {
        let vocabulary = KeywordVocabulary::of(["stars star Stars", "moon and the moon's light", "sun"], 3);
        assert_eq!(vocabulary.words(), ["stars", "moon", "light"]);
    }

    #[test]
    fn words_are_found_in_any_form() {
        let vocabulary = vocabulary();
        for (asked, found, exact) in [
            ("Seas", "sea", true),
            ("riding", "ride", true),
            ("toddlers", "child", false),
            ("frisbee", "play", false),
            ("t-shirt", "shirts", false),
            ("bikes", "ride", false),
            ("snowboarder", "snow", false),
            ("snow-man", "snow", false),
        ] {
            let known = vocabulary.find(asked).unwrap();
            assert_eq!((known.word, known.exact), (found, exact), "{asked}");
            assert_eq!(vocabulary.words()[known.index], known.word);
        }
        for unknown in ["xylophone", "", "seaxyz", "the"] {
            assert_eq!(vocabulary.find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn compounds_give_their_rarer_part() {
        let vocabulary = KeywordVocabulary::from(["sea", "shell", "stone"].map(String::from).to_vec());
        assert_eq!(vocabulary.find("seashell").map(|k| k.word), Some("shell"));
        assert_eq!(vocabulary.find("seashelf"), None);
    }

    #[test]
    fn a_vocabulary_is_a_list_of_words() {
        let vocabulary = vocabulary();
        let json = serde_json::to_string(&vocabulary).unwrap();
        assert!(json.starts_with("[\"sea\","), "{json}");
        assert_eq!(serde_json::from_str::<KeywordVocabulary>(&json).unwrap(), vocabulary);
    }

    #[test]
    fn captions_give_things_first_and_colours_last() {
        for (caption, expected) in [
            ("a man in a red shirt is riding a bike", vec!["bike", "riding", "man", "shirt", "red"]),
            ("a group of people standing in front of a building", vec!["building"]),
            ("two young children play in the snow .", vec!["snow", "play", "children", "young"]),
            ("a black and white dog", vec!["dog", "black", "white"]),
            ("", vec![]),
        ] {
            assert_eq!(from_caption(caption), expected, "{caption}");
        }
    }
}
