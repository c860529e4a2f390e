//! Full rhyme, as English verse has it.
//!
//! Two words rhyme here when they sound alike from the last stressed vowel on (primary or
//! secondary stress: "sunset" rhymes with "forget") and differ in what stands before that vowel in
//! its syllable ("light" and "slight", but not "sea" and "see", "believe" and "leave": identity).
//! A word is never a rhyme of itself. Any listed pronunciation serves: "wind" rhymes with "kind"
//! and with "sinned", "again" with "rain" and "pen"; but no two words rhyme that can sound the same.
//!
//! What also counts, since verse takes it as full rhyme:
//! - a last syllable on which the beat falls though speech does not stress it, in words with at
//!   least two syllables behind their stress, with a stressed one: "memory" and "sea", but not
//!   "morning" and "sing", nor "memory" and "harmony";
//! - sounds that CMUdict itself does not keep apart: the vowels of "lost" and "hot" (unless r
//!   follows), "here" and "near", "marry" and "merry", unstressed i and a ("roses", "Rosa's"),
//!   "fire" with one syllable or two;
//! - "singin'" as "singing", and words that CMUdict lacks as the words most like them end.
//!
//! What does not count: eye rhyme ("love" and "move", "wind" the noun and "find" in a dialect where
//! no dictionary has it), assonance ("time" and "shine"), a plural with a singular, consonance
//! ("heaven" and "even"), unstressed endings ("running" and "walking").
//!
//! The definition of full or perfect rhyme is the usual one, as in T. V. F. Brogan's article
//! "Rhyme" in The New Princeton Encyclopedia of Poetry and Poetics, 1993.

use std::collections::{BTreeSet, HashMap};

use super::dictionary::{self, Sound};
use super::words::plain;

/// The last word of a line, without the marks around it; of what a hyphen joins, the last part.
///
/// ```
/// use songwriter::verse::rhyme::last_word;
///
/// assert_eq!(last_word("And whispered, \"Don't!\""), Some("Don't"));
/// assert_eq!(last_word("..."), None);
/// ```
pub fn last_word(line: &str) -> Option<&str> {
    let line = line.trim_end_matches(|c: char| !c.is_alphabetic());
    let is_part = |c: char| c.is_alphabetic() || matches!(c, '\'' | '\u{2019}');
    let begin = line.char_indices().rev().take_while(|&(_, c)| is_part(c)).last()?.0;
    Some(line[begin..].trim_start_matches(|c: char| !c.is_alphabetic()))
}

/// Whether two lines (or words) rhyme: see the module for what counts.
///
/// ```
/// use songwriter::verse::rhyme::rhymes;
///
/// assert!(rhymes("The stars are bright,", "all through the night"));
/// assert!(!rhymes("The stars above", "begin to move"));
/// ```
pub fn rhymes(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (last_word(a), last_word(b)) else { return false };
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    a != b && sound_alike(&ends(&a), &ends(&b))
}

/// The ways in which a word can end a line.
fn ends(word: &str) -> Vec<End> {
    let spoken = sounds(word);
    let promoted = spoken.iter().filter_map(Sound::promoted).map(|sound| End { sound, stressed: false });
    let promoted: Vec<_> = promoted.collect();
    spoken.into_iter().map(|sound| End { sound, stressed: true }).chain(promoted).collect()
}

/// A way in which a word can end a line.
struct End {
    sound: Sound<'static>,
    /// Whether speech stresses it, too.
    stressed: bool,
}

fn sound_alike(a: &[End], b: &[End]) -> bool {
    let pairs = || a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let mut alike = pairs().filter(|(a, b)| a.sound.rime == b.sound.rime).peekable();
    // Where the last syllable alone is alike, so may be what stands before it: "eternity", "infinity".
    alike.peek().is_some()
        && alike.all(|(a, b)| a.sound.onset != b.sound.onset)
        && pairs().any(|(a, b)| a.sound.rime == b.sound.rime && (a.stressed || b.stressed))
}

/// How a word in lower case sounds, the usual pronunciation first: as the dictionary says, else as
/// its modern spelling does, else by analogy.
pub(super) fn sounds(word: &str) -> Vec<Sound<'static>> {
    let known = dictionary::lookup(word);
    if !known.is_empty() {
        return known;
    }
    let modern = modern_spellings(word);
    if let Some(mut known) = modern.iter().map(|m| dictionary::lookup(m)).find(|known| !known.is_empty()) {
        if is_contracted(word) {
            known.iter_mut().for_each(|sound| sound.syllables = (sound.syllables - 1).max(1));
        }
        return known;
    }
    modern
        .last()
        .map_or_else(|| dictionary::by_analogy(word), |m| dictionary::by_analogy(m))
        .into_iter()
        .collect()
}

/// Whether an apostrophe stands for a syllable: in "heav'n" and "wand'ring", not in "lov'd".
fn is_contracted(word: &str) -> bool {
    word.split_once('\'')
        .is_some_and(|(_, tail)| tail.starts_with(['n', 'r', 'l']) && !tail.starts_with("ll"))
}

/// What the dictionary may have a word under, the likeliest first.
fn modern_spellings(word: &str) -> Vec<String> {
    if let Some(owner) = word.strip_suffix("'s") {
        let ies = owner.strip_suffix('y').map(|stem| format!("{stem}ies"));
        return ies.into_iter().chain([format!("{owner}es"), format!("{owner}s")]).collect();
    }
    if word.contains('\'') {
        return vec![plain(word)];
    }
    if word.len() > 4 && word.ends_with("in") {
        return vec![format!("{word}g")];
    }
    Vec::new()
}

/// Finds the words of a list that rhyme with a word.
pub struct Rhymer {
    words: Vec<String>,
    /// Rime to places in `words`.
    by_rime: HashMap<&'static [u8], Vec<usize>>,
}

impl Rhymer {
    /// An index of these words, the most frequent first.
    pub fn new(words: &[&str]) -> Self {
        let mut by_rime: HashMap<_, Vec<usize>> = HashMap::new();
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        for (i, word) in words.iter().enumerate() {
            for end in ends(word) {
                by_rime.entry(end.sound.rime).or_default().push(i);
            }
        }
        Self { words, by_rime }
    }

    /// The words that rhyme with the last word of a line, the most frequent first.
    ///
    /// ```
    /// use songwriter::verse::rhyme::Rhymer;
    ///
    /// let rhymer = Rhymer::new(&["day", "sea", "memory", "way"]);
    /// assert_eq!(rhymer.rhyme_words("we play"), ["day", "way"]);
    /// ```
    pub fn rhyme_words(&self, line: &str) -> Vec<&str> {
        let Some(word) = last_word(line).map(str::to_lowercase) else { return Vec::new() };
        let ends = ends(&word);
        let places = ends.iter().filter_map(|end| self.by_rime.get(end.sound.rime)).flatten();
        let places: BTreeSet<usize> = places.copied().collect();
        let words = places.into_iter().map(|i| self.words[i].as_str());
        words.filter(|other| *other != word && sound_alike(&ends, &self::ends(other))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_rhymes_count() {
        for (a, b) in [
            ("light", "night"),
            ("light", "slight"),
            ("ocean", "devotion"),
            ("sunset", "forget"),
            ("memory", "the sea"),
            ("dog", "log"),
            ("here", "near"),
            ("fire", "desire"),
            ("wind", "kind"),
            ("wind", "sinned"),
            ("again", "rain"),
            ("again", "pen"),
            ("o'er", "shore"),
            ("heav'n", "seven"),
            ("singin'", "ringing"),
            ("heart's", "parts"),
            ("Lov'd,", "shoved!"),
            ("the moonlorn", "the morn"),
            ("snow-white", "goodnight"),
        ] {
            assert!(rhymes(a, b) && rhymes(b, a), "{a}, {b}");
        }
    }

    #[test]
    fn near_rhymes_and_repetitions_do_not_count() {
        for (a, b) in [
            ("light", "light"),
            ("light", "Light!"),
            ("sea", "see"),
            ("no", "know"),
            ("believe", "leave"),
            ("complain", "plain"),
            ("new", "knew"),
            ("love", "move"),
            ("time", "shine"),
            ("days", "way"),
            ("morning", "sing"),
            ("running", "walking"),
            ("heaven", "even"),
            ("memory", "harmony"),
            ("eternity", "infinity"),
            ("far", "war"),
            ("been", "sun"),
            ("", "night"),
            ("xq", "zq"),
        ] {
            assert!(!rhymes(a, b) && !rhymes(b, a), "{a}, {b}");
        }
    }

    #[test]
    fn lines_end_in_words() {
        for (line, word) in [
            ("O'er the sea, o'er", Some("o'er")),
            ("She cried: 'Tis I!'", Some("I")),
            ("and 'tis", Some("tis")),
            ("singin'...", Some("singin")),
            ("white-as-snow --", Some("snow")),
            ("caf\u{e9}", Some("caf\u{e9}")),
            ("12", None),
        ] {
            assert_eq!(last_word(line), word, "{line}");
        }
    }

    #[test]
    fn rhyme_words_come_by_frequency() {
        let rhymer = Rhymer::new(&["day", "sea", "me", "play", "memory", "see", "way"]);
        assert_eq!(rhymer.rhyme_words("far away"), ["day", "play"]);
        assert_eq!(rhymer.rhyme_words("sea"), ["me", "memory"]);
        assert_eq!(rhymer.rhyme_words("a memory"), ["sea", "me", "see"]);
        assert!(rhymer.rhyme_words("orange").is_empty() && rhymer.rhyme_words("").is_empty());
    }
}
