//! The lyricist at work: a trained network, its alphabet, and the loop that writes.

use std::ops::ControlFlow;

use super::alphabet::{Alphabet, END};
use super::char_rnn::CharRnnConfig;
use super::prompt::Prompt;
use super::sampling::{Rng, SongOptions, sample};
use crate::error::{Error, Result};
use crate::nn::{Compute, Stepper};
use crate::weights::{CONFIG, ModelFiles};

/// Name of the vocabulary file in a lyricist's folder.
pub const ALPHABET: &str = "alphabet.json";

/// Name of the file with the words that can be keywords.
pub const KEYWORDS: &str = "keywords.json";

/// Characters that a song has at least: the end symbol is not drawn before.
const MIN_CHARS: usize = 60;

/// Characters that the last line may have beyond the limit.
const LAST_LINE: usize = 80;

/// A written song.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// The text, the prompt in front.
    pub text: String,
    /// The seed that gives it again.
    pub random_seed: u64,
    /// The temperature it was drawn at.
    pub temperature: f32,
    /// Characters of the prompt that are not in the alphabet and were left out.
    pub left_out: usize,
}

/// Alphabet and architecture of a model folder, which have to fit each other.
///
/// # Errors
/// They do not, or can't be read.
pub fn describe(files: &ModelFiles) -> Result<(Alphabet, CharRnnConfig)> {
    let alphabet: Alphabet = files.json(ALPHABET)?;
    let config: CharRnnConfig = files.json(CONFIG)?;
    config.check()?;
    if config.alphabet_size != alphabet.len() {
        return Err(Error::model(
            "lyricist",
            format!("{ALPHABET} has {} entries, {CONFIG} says {}", alphabet.len(), config.alphabet_size),
        ));
    }
    Ok((alphabet, config))
}

/// A trained lyricist.
#[derive(Debug)]
pub struct Lyricist {
    alphabet: Alphabet,
    network: Stepper,
}

impl Lyricist {
    /// Sets up the network of a model folder on a device.
    ///
    /// # Errors
    /// The folder's files do not fit together.
    pub fn new(files: &ModelFiles, compute: &Compute) -> Result<Self> {
        let (alphabet, config) = describe(files)?;
        Ok(Self { network: Stepper::new(config.stepper(), &files.tensors()?, compute)?, alphabet })
    }

    /// Scores of the character after a text, `[alphabet]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn logits(&self, text: &str) -> Result<Vec<f32>> {
        let mut state = self.network.state(1);
        let mut scores = self.network.step(&[END], &mut state).await?;
        for id in self.alphabet.encode(text).0 {
            scores = self.network.step(&[id], &mut state).await?;
        }
        Ok(scores)
    }

    /// Writes a song. `on_text` is handed each new piece (the prompt first) and may stop the
    /// writing; the song up to there is returned.
    ///
    /// # Errors
    /// An option is out of range, or the GPU does not answer.
    pub async fn write(
        &self,
        prompt: &Prompt,
        options: &SongOptions,
        mut on_text: impl AsyncFnMut(&str) -> ControlFlow<()>,
    ) -> Result<Song> {
        options.check()?;
        let mut rng = Rng::for_text(options.random_seed, prompt.text());
        let mut state = self.network.state(1);
        let mut scores = self.network.step(&[END], &mut state).await?;
        let mut text = String::new();
        let (ids, left_out) = self.alphabet.encode(prompt.text());
        if ids.is_empty() && left_out > 0 {
            return Err(Error::Usage(format!(
                "The songwriter knows none of the characters of {:?}; it writes English.",
                prompt.text().trim()
            )));
        }
        for id in ids {
            text.extend(self.alphabet.character(id));
            scores = self.network.step(&[id], &mut state).await?;
        }
        let mut flow = if text.is_empty() { ControlFlow::Continue(()) } else { on_text(&text).await };
        for written in 0..options.max_chars + LAST_LINE {
            // A song that is cut off ends with a whole line, if the line is one.
            if flow.is_break() || (written >= options.max_chars && text.ends_with('\n')) {
                break;
            }
            let forbidden: &[usize] = if written < MIN_CHARS { &[END] } else { &[] };
            let id = sample(&scores, options.temperature, forbidden, &mut rng);
            let Some(c) = self.alphabet.character(id) else { break };
            text.push(c);
            flow = on_text(c.encode_utf8(&mut [0; 4])).await;
            scores = self.network.step(&[id], &mut state).await?;
        }
        text.truncate(text.trim_end().len());
        Ok(Song { text, random_seed: options.random_seed, temperature: options.temperature, left_out })
    }
}
