//! A decoder that captions, of either kind.

use super::decoder::{Attention, DecoderConfig};
use super::encoder::{FEATURES, REGIONS};
use super::reader::{Reader, ReaderState};
use crate::error::{Error, Result};
use crate::nn::{Compute, PackedMatrix, Stepper, StepperState};
use crate::weights::Tensors;

/// The network of a decoder, one word at a time.
#[derive(Debug)]
pub enum Network {
    /// Reads the picture once, as a whole, before the first word.
    Plain(Box<Plain>),
    /// Looks at the picture before each word.
    Attentive(Box<Reader>),
}

/// A plain decoder.
#[derive(Debug)]
pub struct Plain {
    /// Features to the first input of the LSTM, `[features, embedding]`, and its bias.
    projection: PackedMatrix,
    projection_bias: Vec<f32>,
    stepper: Stepper,
}

/// What is remembered between words, for some rows.
#[derive(Debug)]
pub enum State {
    /// Of a plain decoder.
    Plain(StepperState),
    /// Of one with attention.
    Attentive(ReaderState),
}

impl Network {
    /// Sets up the network. One with attention works on the CPU whatever the device.
    ///
    /// # Errors
    /// Configuration and weights do not fit together.
    pub fn new(config: &DecoderConfig, tensors: &Tensors, compute: &Compute) -> Result<Self> {
        Ok(match config.attention {
            Attention::None => {
                let e = config.embedding_size;
                Self::Plain(Box::new(Plain {
                    projection: PackedMatrix::new(
                        tensors.get("projection.weight", &[FEATURES, e])?,
                        FEATURES,
                        e,
                    ),
                    projection_bias: tensors.get("projection.bias", &[e])?.to_vec(),
                    stepper: Stepper::new(config.stepper(), tensors, compute)?,
                }))
            }
            Attention::Additive => Self::Attentive(Box::new(Reader::new(config, tensors)?)),
        })
    }

    /// Number of ids of the vocabulary.
    pub fn symbols(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.stepper.symbols(),
            Self::Attentive(reader) => reader.symbols(),
        }
    }

    /// The state (one row) before the first word about a picture, `[49, 1280]`.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub fn begin(&self, grid: &[f32]) -> Result<State> {
        Ok(match self {
            Self::Plain(plain) => {
                let mut image = plain.projection_bias.clone();
                plain.projection.add_product(&pooled(grid), &mut image);
                let mut state = plain.stepper.state(1);
                plain.stepper.step_vector(&image, &mut state)?;
                State::Plain(state)
            }
            Self::Attentive(reader) => State::Attentive(reader.state(&[reader.look(grid)])),
        })
    }

    /// Reads one word a row and gives the scores of all words to follow, `[rows, words]`.
    ///
    /// # Errors
    /// The GPU does not answer, or the state is of the other kind of network.
    pub async fn step(&self, last: &[usize], state: &mut State) -> Result<Vec<f32>> {
        match (self, state) {
            (Self::Plain(plain), State::Plain(state)) => plain.stepper.step(last, state).await,
            (Self::Attentive(reader), State::Attentive(state)) => Ok(reader.step(last, state)),
            _ => Err(Error::Device("the captioner was handed the state of another network".into())),
        }
    }
}

impl State {
    /// The given rows, in that order; a row may be taken more than once.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Plain(state) => Self::Plain(state.select(rows)),
            Self::Attentive(state) => Self::Attentive(state.select(rows)),
        }
    }

    /// Where a row looked at the last step, 49 shares; none if the network does not look again.
    pub fn attention(&self, row: usize) -> Vec<f32> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Attentive(state) => state.attention()[row * REGIONS..][..REGIONS].to_vec(),
        }
    }
}

/// The mean over the regions, `[49, 1280]` to `[1280]`.
pub fn pooled(grid: &[f32]) -> Vec<f32> {
    let mut mean = vec![0.0f32; FEATURES];
    for region in grid.chunks_exact(FEATURES) {
        mean.iter_mut().zip(region).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m /= REGIONS as f32);
    mean
}
