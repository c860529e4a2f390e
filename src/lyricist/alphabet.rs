//! The characters that the lyricist knows.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Id of the symbol that ends a song. Read as input, the same symbol begins one.
pub const END: usize = 0;

/// How the end symbol is written in `alphabet.json`.
const END_NAME: &str = "<end>";

/// A set of characters; ids from 1 on, in the order of their code points. Id 0 is [`END`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Alphabet {
    characters: Vec<char>,
}

impl Alphabet {
    /// The characters that stand at least `min_count` times in the texts, newline always among them.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>, min_count: usize) -> Self {
        let mut counts = std::collections::BTreeMap::<char, usize>::new();
        for c in texts.into_iter().flat_map(str::chars) {
            *counts.entry(c).or_default() += 1;
        }
        counts.insert('\n', usize::MAX);
        let known = counts.into_iter().filter(|&(c, n)| n >= min_count && (c == '\n' || !c.is_control()));
        Self { characters: known.map(|(c, _)| c).collect() }
    }

    /// Number of ids, the end symbol counted.
    pub fn len(&self) -> usize {
        1 + self.characters.len()
    }

    /// An alphabet has at least its end symbol.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Id of a character. An unknown one is replaced by a plain relative (a curly quote by a
    /// straight one, an accented letter by its base, a capital by its small letter); `None` if
    /// it has none that is known.
    pub fn id(&self, c: char) -> Option<usize> {
        let find = |c: char| self.characters.binary_search(&c).ok().map(|i| i + 1);
        find(c).or_else(|| plain(c).and_then(find)).or_else(|| {
            let mut lower = c.to_lowercase();
            let small = lower.next().filter(|_| lower.len() == 0);
            small.and_then(|c| find(c).or_else(|| plain(c).and_then(find)))
        })
    }

    /// Ids of a text and the number of its characters that had to be left out.
    pub fn encode(&self, text: &str) -> (Vec<usize>, usize) {
        let mut dropped = 0;
        let ids = text
            .chars()
            .filter(|&c| c != '\r')
            .filter_map(|c| {
                let id = self.id(c);
                dropped += usize::from(id.is_none());
                id
            })
            .collect();
        (ids, dropped)
    }

    /// Character of an id; `None` for [`END`] and ids that are not there.
    pub fn character(&self, id: usize) -> Option<char> {
        self.characters.get(id.checked_sub(1)?).copied()
    }
}

impl TryFrom<Vec<String>> for Alphabet {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        let bad = |why: &str| Error::model("lyricist", format!("its alphabet can't be used: {why}"));
        let mut names = names.into_iter();
        if names.next().as_deref() != Some(END_NAME) {
            return Err(bad("the first entry is not <end>"));
        }
        let characters = names
            .map(|name| {
                let mut chars = name.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Ok(c),
                    _ => Err(bad(&format!("{name:?} is not one character"))),
                }
            })
            .collect::<Result<Vec<char>>>()?;
        if !characters.is_sorted_by(|a, b| a < b) || !characters.contains(&'\n') {
            return Err(bad("characters must be in order, each once, with the newline among them"));
        }
        Ok(Self { characters })
    }
}

impl From<Alphabet> for Vec<String> {
    fn from(alphabet: Alphabet) -> Self {
        std::iter::once(END_NAME.to_string()).chain(alphabet.characters.iter().map(char::to_string)).collect()
    }
}

/// The plain relative of a typographic or accented character.
fn plain(c: char) -> Option<char> {
    Some(match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '`' | '\u{b4}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2026}' => '.',
        '\t' | '\u{a0}' | '\u{2002}'..='\u{200a}' => ' ',
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'æ' => 'a',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'œ' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        'ý' | 'ÿ' => 'y',
        'À'..='Å' => 'A',
        'È'..='Ë' => 'E',
        'Ì'..='Ï' => 'I',
        'Ò'..='Ö' => 'O',
        'Ù'..='Ü' => 'U',
        '[' | '{' => '(',
        ']' | '}' => ')',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_characters_are_left_out_and_relatives_stand_in() {
        let alphabet = Alphabet::of(["aaa bbb eee '''", "Z"], 2);
        assert_eq!(Vec::<String>::from(alphabet.clone()), ["<end>", "\n", " ", "'", "a", "b", "e"]);
        let (ids, dropped) = alphabet.encode("É\u{2019}A\r\n#");
        let text: String = ids.iter().filter_map(|&id| alphabet.character(id)).collect();
        assert_eq!((text.as_str(), dropped), ("e'a\n", 1));
        assert_eq!(alphabet.character(END), None);
    }

    #[test]
    fn json_is_checked() {
        let alphabet = Alphabet::of(["hello\nworld"], 1);
        let json = serde_json::to_string(&alphabet).unwrap();
        assert_eq!(serde_json::from_str::<Alphabet>(&json).unwrap(), alphabet);
        for bad in [r#"["a","b"]"#, r#"["<end>","\n","ab"]"#, r#"["<end>","b","a","\n"]"#, r#"["<end>","a"]"#]
        {
            assert!(serde_json::from_str::<Alphabet>(bad).is_err(), "{bad}");
        }
    }
}
