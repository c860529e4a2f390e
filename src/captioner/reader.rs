//! The decoder with attention as it captions: word by word, on the CPU, for several rows at once.
//!
//! A caption is a dozen steps of some million multiplications for a handful of rows: a GPU would
//! spend more time on being asked than on the answer. The arithmetic gives the same bits on every
//! machine and in the browser.

use std::sync::Arc;

use super::decoder::DecoderConfig;
use super::encoder::{FEATURES, REGIONS};
use super::words::END;
use crate::error::Result;
use crate::nn::PackedMatrix;
use crate::nn::attention::{mix, weigh};
use crate::nn::cpu::lstm;
use crate::nn::math::tanh;
use crate::weights::Tensors;

/// A trained decoder with attention.
#[derive(Debug)]
pub struct Reader {
    config: DecoderConfig,
    value: Layer,
    key: Layer,
    start: Layer,
    query: PackedMatrix,
    score: Vec<f32>,
    embedding: Vec<f32>,
    input: Layer,
    context: PackedMatrix,
    recurrent: PackedMatrix,
    output: Layer,
    words: Layer,
}

/// A product and what it starts from.
#[derive(Debug)]
struct Layer {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

impl Layer {
    fn new(tensors: &Tensors, [weight, bias]: [&str; 2], rows: usize, columns: usize) -> Result<Self> {
        Ok(Self {
            weight: PackedMatrix::new(tensors.get(weight, &[rows, columns])?, rows, columns),
            bias: tensors.get(bias, &[columns])?.to_vec(),
        })
    }

    fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = self.bias.repeat(rows);
        self.weight.add_product(x, &mut out);
        out
    }
}

/// A picture as the decoder looks at it.
#[derive(Debug)]
pub struct Seen {
    /// `[49, C]`.
    values: Vec<f32>,
    /// `[49, A]`.
    keys: Vec<f32>,
    /// First output and content, `[2 H]`.
    start: Vec<f32>,
}

/// What is remembered between words, for some rows.
#[derive(Debug, Clone)]
pub struct ReaderState {
    seen: Vec<Arc<Seen>>,
    hidden: Vec<f32>,
    content: Vec<f32>,
    attention: Vec<f32>,
}

impl Reader {
    /// Packs the weights.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn new(config: &DecoderConfig, tensors: &Tensors) -> Result<Self> {
        let DecoderConfig {
            words, embedding_size: e, hidden_size: h, attention_size: a, value_size: c, ..
        } = *config;
        let matrix = |name: &str, rows: usize, columns: usize| -> Result<PackedMatrix> {
            Ok(PackedMatrix::new(tensors.get(name, &[rows, columns])?, rows, columns))
        };
        let embedding = tensors.get("embedding", &[words, e])?.to_vec();
        let mut across = vec![0.0; embedding.len()];
        for (id, word) in embedding.chunks_exact(e).enumerate() {
            word.iter().enumerate().for_each(|(j, &v)| across[j * words + id] = v);
        }
        Ok(Self {
            config: config.clone(),
            value: Layer::new(tensors, ["value.weight", "value.bias"], FEATURES, c)?,
            key: Layer::new(tensors, ["key.weight", "key.bias"], c, a)?,
            start: Layer::new(tensors, ["start.weight", "start.bias"], c, 2 * h)?,
            query: matrix("query", h, a)?,
            score: tensors.get("score", &[a])?.to_vec(),
            input: Layer::new(tensors, ["lstm.0.input", "lstm.0.bias"], e, 4 * h)?,
            context: matrix("lstm.0.context", c, 4 * h)?,
            recurrent: matrix("lstm.0.recurrent", h, 4 * h)?,
            output: Layer::new(tensors, ["output.weight", "output.bias"], h + c, e)?,
            words: Layer {
                weight: PackedMatrix::new(&across, e, words),
                bias: tensors.get("words.bias", &[words])?.to_vec(),
            },
            embedding,
        })
    }

    /// Number of ids of the vocabulary.
    pub fn symbols(&self) -> usize {
        self.config.words
    }

    /// Looks at a picture, `[49, 1280]`.
    pub fn look(&self, grid: &[f32]) -> Arc<Seen> {
        let mut values = self.value.apply(grid, REGIONS);
        values.iter_mut().for_each(|v| *v = v.max(0.0));
        let keys = self.key.apply(&values, REGIONS);
        let width = self.config.value_size;
        let mut mean = vec![0.0f32; width];
        for value in values.chunks_exact(width) {
            mean.iter_mut().zip(value).for_each(|(m, v)| *m += v);
        }
        mean.iter_mut().for_each(|m| *m /= REGIONS as f32);
        let mut start = self.start.apply(&mean, 1);
        start.iter_mut().for_each(|v| *v = tanh(*v));
        Arc::new(Seen { values, keys, start })
    }

    /// The state before the first word, a row for each picture.
    pub fn state(&self, pictures: &[Arc<Seen>]) -> ReaderState {
        let h = self.config.hidden_size;
        ReaderState {
            seen: pictures.to_vec(),
            hidden: pictures.iter().flat_map(|p| p.start[..h].iter().copied()).collect(),
            content: pictures.iter().flat_map(|p| p.start[h..].iter().copied()).collect(),
            attention: vec![0.0; pictures.len() * REGIONS],
        }
    }

    /// Reads one word a row and gives the scores of all words to follow, `[rows, words]`.
    pub fn step(&self, last: &[usize], state: &mut ReaderState) -> Vec<f32> {
        let DecoderConfig { embedding_size: e, hidden_size: h, attention_size: a, value_size: c, .. } =
            self.config;
        let rows = last.len();
        let mut queries = vec![0.0; rows * a];
        self.query.add_product(&state.hidden, &mut queries);
        let mut contexts = vec![0.0; rows * c];
        for (row, seen) in state.seen.iter().enumerate() {
            let weights = &mut state.attention[row * REGIONS..][..REGIONS];
            weigh(&seen.keys, &queries[row * a..][..a], &self.score, weights);
            mix(&seen.values, weights, &mut contexts[row * c..][..c]);
        }
        let words: Vec<f32> =
            last.iter().flat_map(|&id| self.embedding[id * e..][..e].iter().copied()).collect();
        let mut gates = self.input.apply(&words, rows);
        self.context.add_product(&contexts, &mut gates);
        self.recurrent.add_product(&state.hidden, &mut gates);
        lstm(&gates, &mut state.hidden, &mut state.content, h);
        let told: Vec<f32> = state
            .hidden
            .chunks_exact(h)
            .zip(contexts.chunks_exact(c))
            .flat_map(|(hidden, context)| hidden.iter().chain(context).copied())
            .collect();
        let mut told = self.output.apply(&told, rows);
        told.iter_mut().zip(&words).for_each(|(t, w)| *t = tanh(*t + w));
        self.words.apply(&told, rows)
    }

    /// Speaks about each picture until the end symbol or `longest` words; `choose` takes the next
    /// word of a row from the scores of all.
    pub fn speak(
        &self,
        pictures: &[Arc<Seen>],
        longest: usize,
        mut choose: impl FnMut(usize, &mut [f32]) -> usize,
    ) -> Vec<Vec<u16>> {
        let mut said = vec![Vec::new(); pictures.len()];
        let mut open: Vec<usize> = (0..pictures.len()).collect();
        let mut last = vec![END; pictures.len()];
        let mut state = self.state(pictures);
        for _ in 0..longest {
            let mut scores = self.step(&last, &mut state);
            let (mut rows, mut still) = (Vec::new(), Vec::new());
            last.clear();
            for (at, (&row, scores)) in open.iter().zip(scores.chunks_exact_mut(self.symbols())).enumerate() {
                let word = choose(row, scores);
                if word != END {
                    said[row].push(word as u16);
                    rows.push(at);
                    still.push(row);
                    last.push(word);
                }
            }
            if rows.is_empty() {
                break;
            }
            if rows.len() < open.len() {
                state = state.select(&rows);
            }
            open = still;
        }
        said
    }
}

impl ReaderState {
    /// Where each row looked at the last step, `[rows, 49]`; each row sums to 1.
    pub fn attention(&self) -> &[f32] {
        &self.attention
    }

    /// The given rows, in that order; a row may be taken more than once.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let pick = |values: &[f32]| {
            let width = values.len() / self.seen.len();
            rows.iter().flat_map(|&row| values[row * width..][..width].iter().copied()).collect()
        };
        Self {
            seen: rows.iter().map(|&row| Arc::clone(&self.seen[row])).collect(),
            hidden: pick(&self.hidden),
            content: pick(&self.content),
            attention: pick(&self.attention),
        }
    }
}
