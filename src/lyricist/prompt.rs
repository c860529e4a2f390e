//! What a song is about: the text that the network reads before it goes on by itself.

/// The beginning of a song.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    text: String,
}

impl Prompt {
    /// A caption as a song's first line: a capital in front, a comma behind, then a new line.
    /// Digits become words, as songs spell them.
    pub fn from_caption(caption: &str) -> Self {
        let mut line = String::new();
        let words: Vec<&str> = caption.split_whitespace().map(spell).collect();
        let caption = words.join(" ");
        let mut chars = caption.trim_end_matches(['.', ',', ';', ' ']).chars();
        if let Some(first) = chars.next() {
            line.extend(first.to_uppercase());
            line.push_str(chars.as_str());
            line.push_str(",\n");
        }
        Self { text: line }
    }

    /// A text as it stands, which the song goes on from in mid-word if need be (the `-s` of
    /// char-rnn).
    pub fn from_seed(seed: &str) -> Self {
        Self { text: seed.to_string() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A number below ten in letters.
fn spell(word: &str) -> &str {
    const NAMES: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    match word.as_bytes() {
        [digit @ b'0'..=b'9'] => NAMES[usize::from(digit - b'0')],
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_becomes_a_line() {
        assert_eq!(Prompt::from_caption("a dog runs .").text(), "A dog runs,\n");
        assert_eq!(Prompt::from_caption("dog number 5  runs").text(), "Dog number five runs,\n");
        assert_eq!(Prompt::from_caption("").text(), "");
    }
}
