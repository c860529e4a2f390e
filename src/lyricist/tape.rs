//! What the network has read and thinks, at every place that can still be gone back to.

use crate::error::Result;
use crate::nn::{Stepper, StepperState, math};

/// A place in a text that the network has read: what it remembers there, and how likely it
/// finds each symbol next. Valid until [`Tape::keep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    frame: usize,
    row: usize,
}

/// States and probabilities of all steps since the last [`Tape::keep`]. A song is written by trying: lines
/// are begun again in the middle with another word, and the network need not read again what stood
/// before it.
#[derive(Debug)]
pub struct Tape<'n> {
    network: &'n Stepper,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    state: StepperState,
    log_probs: Vec<f32>,
}

impl<'n> Tape<'n> {
    /// An empty tape.
    pub fn new(network: &'n Stepper) -> Self {
        Self { network, frames: Vec::new() }
    }

    /// Begins one text for each brief, with the rows that the network is told, by the symbol that
    /// begins texts.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn begin(&mut self, told: &[Vec<usize>], symbol: usize) -> Result<Vec<Place>> {
        let state = self.network.told(told);
        self.push(state, &vec![symbol; told.len()]).await
    }

    /// Reads one symbol behind each place, all at once, and gives the places behind them.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub async fn read(&mut self, from: &[Place], ids: &[usize]) -> Result<Vec<Place>> {
        if from.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.gather(from);
        self.push(state, ids).await
    }

    /// Natural logarithms of the probabilities of the next symbol, `[symbols]`.
    pub fn log_probs(&self, place: Place) -> &[f32] {
        let n = self.network.symbols();
        &self.frames[place.frame].log_probs[place.row * n..(place.row + 1) * n]
    }

    /// Forgets everything but these places, which are changed to where they are now.
    pub fn keep(&mut self, places: &mut [Place]) {
        if places.is_empty() {
            return self.frames.clear();
        }
        let log_probs = places.iter().flat_map(|&place| self.log_probs(place)).copied().collect();
        let frame = Frame { state: self.gather(places), log_probs };
        self.frames = vec![frame];
        for (row, place) in places.iter_mut().enumerate() {
            *place = Place { frame: 0, row };
        }
    }

    fn gather(&self, places: &[Place]) -> StepperState {
        let parts: Vec<_> = places.iter().map(|p| (&self.frames[p.frame].state, p.row)).collect();
        StepperState::gather(&parts)
    }

    async fn push(&mut self, mut state: StepperState, ids: &[usize]) -> Result<Vec<Place>> {
        let mut log_probs = self.network.step(ids, &mut state).await?;
        log_probs.chunks_exact_mut(self.network.symbols()).for_each(math::log_softmax);
        let frame = self.frames.len();
        self.frames.push(Frame { state, log_probs });
        Ok((0..ids.len()).map(|row| Place { frame, row }).collect())
    }
}
