//! Which lines of a stanza rhyme with which.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A rhyme scheme of stanzas of four lines, begun anew every four lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Couplets.
    Aabb,
    /// Crossed.
    #[default]
    Abab,
    /// Second and fourth, as ballads have it.
    Abcb,
    /// No rhyme asked for.
    Off,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 4] = [Self::Aabb, Self::Abab, Self::Abcb, Self::Off];

    /// The earlier line that line `line` (from 0) must rhyme with, if there is one.
    pub fn partner(self, line: usize) -> Option<usize> {
        match (self, line % 4) {
            (Self::Aabb, 1 | 3) => Some(line - 1),
            (Self::Abab, 2 | 3) | (Self::Abcb, 3) => Some(line - 2),
            _ => None,
        }
    }

    /// Its name, which parses back.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aabb => "aabb",
            Self::Abab => "abab",
            Self::Abcb => "abcb",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scheme {
    type Err = String;

    /// # Errors
    /// The text is none of the names, in capitals or not; the message lists them.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| format!("{text:?} is no rhyme scheme: aabb, abab, abcb or off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_as_the_letters_say() {
        for scheme in [Scheme::Aabb, Scheme::Abab, Scheme::Abcb] {
            let letters = scheme.name().as_bytes();
            for line in 0..8 {
                let same = |other: &usize| other / 4 == line / 4 && letters[other % 4] == letters[line % 4];
                assert_eq!(scheme.partner(line), (0..line).rev().find(same), "{scheme} {line}");
            }
        }
        assert!((0..8).all(|line| Scheme::Off.partner(line).is_none()));
    }

    #[test]
    fn schemes_have_names() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.to_string().to_uppercase().parse(), Ok(scheme));
            assert_eq!(serde_json::to_string(&scheme).unwrap(), format!("\"{scheme}\""));
        }
        assert!("abba".parse::<Scheme>().unwrap_err().contains("aabb, abab, abcb or off"));
    }
}
