//! Beam search: the likeliest sentence, not the likeliest word each time.

use crate::captioner::network::{Network, State};
use crate::captioner::words::{END, UNKNOWN};
use crate::error::{Error, Result};
use crate::nn::math::log_softmax;

/// Words that a caption has at most.
pub const MAX_WORDS: usize = 24;

/// Keeps the best beginnings of a sentence in view and extends them word by word (Sutskever,
/// Vinyals & Le 2014, section 3.2).
#[derive(Debug, Clone, Copy)]
pub struct BeamSearch {
    width: usize,
    longest: usize,
}

/// A sentence found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Word ids, the end symbol not among them.
    pub ids: Vec<usize>,
    /// Natural logarithm of its probability, the end symbol counted.
    pub log_prob: f32,
    /// Where the network looked for each word and for the end; empty of one that looks only once.
    pub attention: Vec<Vec<f32>>,
}

impl Hypothesis {
    /// Log-probability per symbol: without the division the search prefers short sentences, as
    /// each further word costs.
    fn score(&self) -> f32 {
        self.log_prob / (self.ids.len() + 1) as f32
    }
}

impl BeamSearch {
    /// A search that keeps `width` beginnings in view.
    ///
    /// # Errors
    /// The width is not from 1 to 100.
    pub fn new(width: usize) -> Result<Self> {
        if !(1..=100).contains(&width) {
            return Err(Error::Usage(format!(
                "A beam of {width} is out of range: it must be from 1 to 100 (3 is a good start)."
            )));
        }
        Ok(Self { width, longest: MAX_WORDS })
    }

    /// Sentences from a state (one row) that has read the picture, the best first.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn run(&self, network: &Network, mut state: State) -> Result<Vec<Hypothesis>> {
        let mut open = vec![Hypothesis::default()];
        let mut last = vec![END];
        let mut done: Vec<Hypothesis> = Vec::new();
        for length in 0..=self.longest {
            let mut scores = network.step(&last, &mut state).await?;
            let mut next: Vec<(f32, usize, usize)> = Vec::new();
            for (row, (hypothesis, scores)) in
                open.iter().zip(scores.chunks_exact_mut(network.symbols())).enumerate()
            {
                log_softmax(scores);
                for (id, &log_prob) in scores.iter().enumerate() {
                    let closes = id == END;
                    // An empty sentence says nothing, the unknown word is none, and at the
                    // longest only the end is left.
                    if id == UNKNOWN || (closes && length == 0) || (!closes && length == self.longest) {
                        continue;
                    }
                    next.push((hypothesis.log_prob + log_prob, row, id));
                }
            }
            // Ties go to the earlier row and the smaller id, so that the order is the same
            // everywhere.
            next.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            let mut rows = Vec::new();
            let mut extended = Vec::new();
            last.clear();
            for &(log_prob, row, id) in next.iter().take(self.width) {
                let Hypothesis { ids, attention, .. } = open[row].clone();
                let mut hypothesis = Hypothesis { ids, log_prob, attention };
                hypothesis.attention.push(state.attention(row));
                if id == END {
                    done.push(hypothesis);
                } else {
                    hypothesis.ids.push(id);
                    extended.push(hypothesis);
                    rows.push(row);
                    last.push(id);
                }
            }
            if extended.is_empty() || done.len() >= self.width {
                break;
            }
            state = state.select(&rows);
            open = extended;
        }
        done.sort_by(|a, b| b.score().total_cmp(&a.score()));
        Ok(done)
    }
}
