//! How many syllables a line has.

use super::rhyme::sounds;
use super::spelling;
use super::words::words;

/// The syllables of a text: of each word as CMUdict counts them, by spelling where it lacks the
/// word; what a poet's apostrophe leaves out ("heav'n", "wand'ring") is not counted.
///
/// ```
/// use songwriter::verse::syllables::syllables;
///
/// assert_eq!(syllables("The moon is o'er the water"), 7);
/// ```
pub fn syllables(line: &str) -> usize {
    words(line).iter().map(|word| syllables_of(word)).sum()
}

fn syllables_of(word: &str) -> usize {
    let heard = sounds(word).first().map_or_else(|| spelling::syllables(word), |s| usize::from(s.syllables));
    heard.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_syllables() {
        for (line, expected) in [
            ("", 0),
            ("--", 0),
            ("The cat sat on the mat", 6),
            ("A wandering minstrel came to town", 9),
            ("A wand'ring minstrel came to heav'n", 8),
            ("Singin' o'er the silver streamlets", 8),
            ("I don't know every flower's name", 9),
        ] {
            assert_eq!(syllables(line), expected, "{line}");
        }
    }
}
