//! Words: where they begin and end, which of them carry a text's sense, what their stems are.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

/// Parts of words by name, as `data/words.txt` lists them. Looked up, never walked through.
static PARTS: LazyLock<HashMap<&str, HashSet<&str>>> = LazyLock::new(|| {
    let mut parts: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut part = "";
    for line in include_str!("data/words.txt").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(name) => part = name,
            None => parts.entry(part).or_default().extend(line.split_whitespace()),
        }
    }
    parts
});

/// Whether the word stands in this part of the list.
pub(super) fn is_in(part: &str, word: &str) -> bool {
    PARTS.get(part).is_some_and(|words| words.contains(word))
}

/// The words of a text in lower case: runs of letters, with apostrophes between them. What a
/// hyphen joins are several words.
///
/// ```
/// use songwriter::verse::keywords::words;
///
/// assert_eq!(words("'Tis o'er the snow-white HILLS!"), ["tis", "o'er", "the", "snow", "white", "hills"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().map(straight).peekable();
    while let Some(c) = chars.next() {
        let is_inner = c == '\'' && !word.is_empty() && chars.peek().is_some_and(|next| next.is_alphabetic());
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        } else if is_inner {
            word.push(c);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Typographic apostrophes as the plain one.
fn straight(c: char) -> char {
    if matches!(c, '\u{2018}' | '\u{2019}' | '\u{02bc}') { '\'' } else { c }
}

/// A word in lower case as it is spelt today and without its possessive: "flow'rs" is "flowers",
/// "lov'd" is "loved", "heart's" is "heart"; of contractions the first word is left.
pub(super) fn plain(word: &str) -> String {
    let word: String = word.chars().map(straight).flat_map(char::to_lowercase).collect();
    let Some((head, tail)) = word.split_once('\'') else { return word };
    match tail {
        "s" | "ll" | "ve" | "re" | "m" => head.to_string(),
        "t" => head.strip_suffix('n').unwrap_or(head).to_string(),
        "d" if is_in("stop", head) => head.to_string(),
        _ if head.is_empty() => tail.to_string(),
        // What poets left out to save a syllable is nearly always an e.
        _ => format!("{head}e{}", tail.replace('\'', "")),
    }
}

/// Whether a word only holds others together ("upon", "shall", "thou") or fills a line ("oh",
/// "la"): such a word says nothing of what a text is about.
pub fn is_stop_word(word: &str) -> bool {
    is_in("stop", word) || {
        let plain = plain(word);
        plain.chars().nth(1).is_none() || is_in("stop", &plain)
    }
}

/// Words that leave a line hanging that ends in them: something has to follow.
const HANGING: [&str; 40] = [
    "a", "an", "and", "as", "at", "but", "by", "for", "from", "if", "in", "into", "its", "lest", "my", "nor",
    "of", "on", "onto", "or", "our", "so", "than", "that", "the", "their", "these", "thy", "to", "unto",
    "until", "very", "whether", "while", "whilst", "whose", "with", "without", "ye", "your",
];

/// Whether a line that ends in the word is left hanging: "the", "of".
pub fn hangs(word: &str) -> bool {
    HANGING.contains(&word)
}

/// The stop words that can end a line, in alphabetical order.
pub fn closing_words() -> Vec<&'static str> {
    let stop = PARTS.get("stop").into_iter().flatten().copied();
    let mut words: Vec<&str> =
        stop.filter(|word| !hangs(word) && word.chars().all(char::is_alphabetic)).collect();
    words.sort_unstable();
    words
}

/// What the forms of a word have in common, by the Snowball stemmer for English ("Porter 2",
/// <https://snowballstem.org/algorithms/english/stemmer.html>); old spellings are made plain
/// first. Not a word itself: "happy" and "happiness" give "happi".
pub fn stem(word: &str) -> String {
    static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
    STEMMER.stem(&plain(word)).into_owned()
}

/// The words that a text is about, in their order, each stem once: all but the stop words.
///
/// ```
/// use songwriter::verse::keywords::content_words;
///
/// assert_eq!(content_words("Oh, the sea's lov'd song\nand the songs of the sea"), ["sea", "loved", "song"]);
/// ```
pub fn content_words(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let words = words(text).into_iter().filter(|word| !is_stop_word(word));
    words.map(|word| plain(&word)).filter(|word| seen.insert(stem(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_with_inner_apostrophes() {
        assert_eq!(
            words("Don\u{2019}t stop, 'neath--the t-shirt 3rd x2"),
            ["don't", "stop", "neath", "the", "t", "shirt", "rd", "x"]
        );
        assert_eq!(words("singin' 'n' dancin'"), ["singin", "n", "dancin"]);
        assert!(words(" 1' '' --").is_empty());
    }

    #[test]
    fn old_spellings_are_made_plain() {
        for (old, new) in [
            ("flow'rs", "flowers"),
            ("Heav'n", "heaven"),
            ("lov'd", "loved"),
            ("wand'ring", "wandering"),
            ("ev'ry", "every"),
            ("night's", "night"),
            ("she'd", "she"),
            ("couldn't", "could"),
            ("moon", "moon"),
        ] {
            assert_eq!(plain(old), new);
        }
    }

    #[test]
    fn stop_words_carry_nothing() {
        for word in ["the", "upon", "o'er", "'tis", "tis", "unto", "shall", "thou", "la", "Oh", "I'll", "x"] {
            assert!(is_stop_word(&word.to_lowercase()), "{word}");
        }
        for word in ["sea", "love", "heart's", "night", "sing"] {
            assert!(!is_stop_word(word), "{word}");
        }
    }

    #[test]
    fn stems_are_shared_by_forms() {
        for (a, b) in [("running", "runs"), ("lov'd", "loving"), ("babies", "baby"), ("Hearts", "heart's")] {
            assert_eq!(stem(a), stem(b));
        }
        assert_ne!(stem("sea"), stem("seed"));
    }

    #[test]
    fn content_words_are_distinct_and_in_order() {
        assert_eq!(
            content_words("The dogs are running; a dog ran, o'er hills they'd run"),
            ["dogs", "running", "ran", "hills"]
        );
    }
}
