//! How a song is to be written.

use serde::{Deserialize, Serialize};

use super::brief::{Kind, MAX_LINES};
use crate::error::{Error, Result};
use crate::verse::{Mood, Scheme};

/// How a song is to be written. What is not told is left to the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SongOptions {
    /// Scores are divided by it: below 1 plays safe, above 1 dares. In (0, 2].
    pub temperature: f32,
    /// Only the likeliest characters that together have this share of the probability are drawn
    /// from (Holtzman et al. 2020, arXiv 1904.09751). In (0, 1].
    pub top_p: f32,
    /// The same seed gives the same song.
    pub random_seed: u64,
    /// Lines of a stanza, 1 to [`MAX_LINES`].
    pub lines: usize,
    /// Number of stanzas.
    pub stanzas: usize,
    /// Kind of the song.
    pub kind: Option<Kind>,
    /// Mood of the song.
    pub mood: Option<Mood>,
    /// Which lines rhyme.
    pub scheme: Scheme,
    /// Whether each line is chosen among several, by rhyme, keywords and sense. Without it the
    /// network's draws stand as they come, and there is no rhyme but by chance.
    pub choose: bool,
}

/// Most stanzas of a song.
pub const MAX_STANZAS: usize = 12;

impl Default for SongOptions {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 1.0,
            random_seed: 1,
            lines: 4,
            stanzas: 1,
            kind: None,
            mood: None,
            scheme: Scheme::Aabb,
            choose: true,
        }
    }
}

impl SongOptions {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// A sentence with the range.
    pub fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::Usage(why));
        if !(self.temperature > 0.0 && self.temperature <= 2.0) {
            return refuse(format!(
                "A temperature of {} is out of range: it must be above 0 and at most 2 (0.7 is a good start).",
                self.temperature
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!(
                "A top-p of {} is out of range: it must be above 0 and at most 1.",
                self.top_p
            ));
        }
        if !(1..=MAX_LINES).contains(&self.lines) {
            return refuse(format!("A stanza has 1 to {MAX_LINES} lines, not {}.", self.lines));
        }
        if !(1..=MAX_STANZAS).contains(&self.stanzas) {
            return refuse(format!("A song has 1 to {MAX_STANZAS} stanzas, not {}.", self.stanzas));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused() {
        let fine = SongOptions::default();
        assert!(fine.check().is_ok());
        for temperature in [0.0, -1.0, 2.1, f32::NAN] {
            assert!(SongOptions { temperature, ..fine.clone() }.check().is_err());
        }
        for top_p in [0.0, 1.01, f32::NAN] {
            assert!(SongOptions { top_p, ..fine.clone() }.check().is_err());
        }
        for lines in [0, MAX_LINES + 1] {
            assert!(SongOptions { lines, ..fine.clone() }.check().is_err());
        }
        for stanzas in [0, MAX_STANZAS + 1] {
            assert!(SongOptions { stanzas, ..fine.clone() }.check().is_err());
        }
    }
}
