//! What a song is about.

use crate::verse::keywords::{KeywordVocabulary, from_caption, stem};

use super::brief::MAX_KEYWORDS;

/// What a song is about: keywords, and a text that it goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// Words that the song shall hold, the most important first.
    pub keywords: Vec<String>,
    /// The beginning of the song, which it goes on from in mid-word if need be (the `-s` of
    /// char-rnn). May be empty.
    pub text: String,
}

impl Prompt {
    /// A song about what a caption names.
    pub fn from_caption(caption: &str) -> Self {
        Self { keywords: from_caption(caption), text: String::new() }
    }

    /// A song about these words.
    pub fn from_keywords(keywords: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { keywords: keywords.into_iter().map(Into::into).collect(), text: String::new() }
    }

    /// A song that begins with this text.
    pub fn from_seed(text: &str) -> Self {
        Self { keywords: Vec::new(), text: text.to_string() }
    }
}

/// What became of a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyword {
    /// The word that was asked for.
    pub word: String,
    /// The word that stands for it in the song: itself, or the nearest relative that the network
    /// was told of in training; `None` if there is none, or if there were too many keywords.
    pub used: Option<String>,
    /// Row of the word in the network's table of keywords.
    pub(super) index: Option<usize>,
}

impl Keyword {
    /// Stem of the word that is used.
    pub fn stem(&self) -> Option<String> {
        self.used.as_deref().map(stem)
    }
}

/// Finds for each keyword the word that stands for it. No more than [`MAX_KEYWORDS`] are used, and
/// none twice. A network that was never told keywords takes each word as it is.
pub fn resolve(keywords: &[String], vocabulary: &KeywordVocabulary) -> Vec<Keyword> {
    let mut seen = Vec::new();
    keywords
        .iter()
        .map(|word| {
            let asked = word.trim().to_lowercase();
            let known = vocabulary.find(&asked);
            let used = match known {
                Some(known) if !known.exact => Some(known.word.to_string()),
                None if !vocabulary.words().is_empty() => None,
                _ => Some(asked),
            };
            let is_new = |used: &String| !used.is_empty() && !seen.contains(&stem(used));
            let used = used.filter(is_new).filter(|_| seen.len() < MAX_KEYWORDS);
            seen.extend(used.as_deref().map(stem));
            let index = used.as_ref().and(known).map(|known| known.index);
            Keyword { word: word.clone(), used, index }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_fall_back_or_are_left_out() {
        let words = ["sea", "dog", "child", "moon", "star"].map(String::from).to_vec();
        let vocabulary = KeywordVocabulary::from(words);
        let asked = ["Dogs", "xylophone", "toddler", "dog", "sea", "moon"].map(String::from);
        let used: Vec<_> = resolve(&asked, &vocabulary).into_iter().map(|k| (k.used, k.index)).collect();
        let word = |word: &str, index| (Some(word.to_string()), Some(index));
        let none = || (None, None);
        assert_eq!(used, [word("dogs", 1), none(), word("child", 2), none(), word("sea", 0), none()]);
    }

    #[test]
    fn without_a_vocabulary_words_are_taken_as_they_are() {
        let asked = ["Dogs".to_string(), String::new()];
        let resolved = resolve(&asked, &KeywordVocabulary::default());
        assert_eq!(resolved[0].used.as_deref(), Some("dogs"));
        assert_eq!((resolved[1].used.as_deref(), resolved[0].index), (None, None));
    }
}
