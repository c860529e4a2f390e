//! Whole songs as streams: the regime in which the network's memory is carried from one piece of a
//! text to the next (truncated back-propagation through time: Williams & Peng 1990; char-RNN's own).

use std::sync::Mutex;

use burn::tensor::{Device, Int, Tensor, TensorData};
use sha2::{Digest, Sha256};

use super::batches::Batch;
use crate::error::{Error, Result};
use crate::lyricist::Rng;
use crate::lyricist::alphabet::END;
use crate::lyricist::char_rnn::States;
use crate::nn::CellState;

/// Songs one behind the other, the end symbol in front of each, cut into streams that are read side
/// by side, a window at a time. The order of the songs is another one in each pass.
#[derive(Debug)]
pub struct Streams {
    songs: Vec<Vec<u16>>,
    /// Streams side by side.
    batch: usize,
    /// Symbols of a window.
    window: usize,
    seed: u64,
    /// The pass whose text was asked for last, and that text.
    current: Mutex<(usize, Vec<u16>)>,
    /// The update that comes next, and what the network remembers until then.
    carried: Mutex<(usize, Option<States>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Streams {
    /// Streams of these songs.
    ///
    /// # Errors
    /// The songs are too short to fill one window of each stream.
    pub fn new(songs: Vec<Vec<u16>>, batch: usize, window: usize, seed: u64) -> Result<Self> {
        let streams = Self {
            current: Mutex::new((0, order(&songs, seed, 0))),
            carried: Mutex::new((0, None)),
            songs,
            batch,
            window,
            seed,
        };
        if streams.per_epoch() == 0 {
            return Err(Error::Data(format!(
                "The songs are too short for {batch} streams of {window} characters: give more of them, or a smaller --batch-chars."
            )));
        }
        Ok(streams)
    }

    /// Updates in a pass.
    pub fn per_epoch(&self) -> usize {
        // One symbol more than is read has to be foretold.
        (locked(&self.current).1.len() - 1) / self.batch / self.window
    }

    /// The windows of an update, time-major, and whether they begin a pass.
    pub fn window(&self, step: usize, device: &Device) -> (Batch, bool) {
        let per_epoch = self.per_epoch();
        let (epoch, at) = (step / per_epoch, step % per_epoch);
        let mut current = locked(&self.current);
        if current.0 != epoch {
            *current = (epoch, order(&self.songs, self.seed, epoch));
        }
        let text = &current.1;
        let (time, batch, length) = (self.window, self.batch, per_epoch * self.window);
        let take = |shift: usize| {
            let ids: Vec<i32> = (0..time * batch)
                .map(|i| i32::from(text[(i % batch) * length + at * time + i / batch + shift]))
                .collect();
            Tensor::<2, Int>::from_data(TensorData::new(ids, [time, batch]), device)
        };
        let batch = Batch {
            inputs: take(0),
            targets: take(1),
            mask: Tensor::ones([time, batch], device),
            units: time * batch,
        };
        (batch, at == 0)
    }

    /// What the network remembers before an update.
    ///
    /// # Errors
    /// It is not known: updates were left out.
    pub fn carried(&self, step: usize) -> Result<Option<States>> {
        let carried = locked(&self.carried);
        if carried.0 == step || carried.1.is_none() && step == 0 {
            Ok(carried.1.clone())
        } else {
            Err(Error::Training(format!("The network's memory before update {step} is lost.")))
        }
    }

    /// Keeps what the network remembers for the next update.
    pub fn carry(&self, step: usize, states: States) {
        *locked(&self.carried) = (step + 1, Some(states));
    }

    /// What is carried, as bytes: the next update's number, then the layers' states.
    ///
    /// # Errors
    /// The device gives the values back in no form that we know.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let carried = locked(&self.carried);
        let mut bytes = (carried.0 as u64).to_le_bytes().to_vec();
        for state in carried.1.iter().flatten() {
            for tensor in std::iter::once(&state.hidden).chain(&state.content) {
                let values = tensor.to_data().try_into_vec::<f32>();
                let values = values.map_err(|e| Error::Training(format!("{e:?}")))?;
                bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            }
        }
        Ok(bytes)
    }

    /// Takes back what [`Self::to_bytes`] gave; `zeros` are states of the right shapes.
    ///
    /// # Errors
    /// The bytes are of another network.
    pub fn restore(&self, bytes: &[u8], zeros: &States) -> Result<()> {
        let bad = || Error::Training("The checkpoint holds no memory of such a network.".into());
        let (step, mut rest) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
        let step = u64::from_le_bytes(*step) as usize;
        let mut take = |like: &Tensor<2>| -> Result<Tensor<2>> {
            let [rows, columns] = like.dims();
            let (values, left) = rest.split_at_checked(rows * columns * 4).ok_or_else(bad)?;
            rest = left;
            let values: Vec<f32> = values.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            Ok(Tensor::from_data(TensorData::new(values, [rows, columns]), &like.device()))
        };
        let states = if step == 0 {
            None
        } else {
            let state = |zero: &CellState| -> Result<CellState> {
                let hidden = take(&zero.hidden)?;
                Ok(CellState { hidden, content: zero.content.as_ref().map(&mut take).transpose()? })
            };
            Some(zeros.iter().map(state).collect::<Result<States>>()?)
        };
        *locked(&self.carried) = (step, states);
        Ok(())
    }

    /// Streams side by side.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The settings on which the windows depend, and a digest of the songs.
    pub fn identity(&self) -> serde_json::Value {
        let mut digest = Sha256::new();
        for song in &self.songs {
            digest.update((song.len() as u64).to_le_bytes());
            song.iter().for_each(|id| digest.update(id.to_le_bytes()));
        }
        serde_json::json!({
            "songs": self.songs.len(), "batch": self.batch, "window": self.window, "seed": self.seed,
            "sha256": format!("{:x}", digest.finalize()),
        })
    }
}

/// The songs in the order of a pass, the end symbol in front of each and behind the last.
fn order(songs: &[Vec<u16>], seed: u64, epoch: usize) -> Vec<u16> {
    let mut order: Vec<&Vec<u16>> = songs.iter().collect();
    Rng::new(seed.wrapping_add(epoch as u64)).shuffle(&mut order);
    let end = END as u16;
    let mut text: Vec<u16> =
        order.into_iter().flat_map(|song| std::iter::once(end).chain(song.iter().copied())).collect();
    text.push(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_each_other_and_foretell_the_next_symbol() {
        let songs = vec![(1..=30).collect::<Vec<u16>>(), (31..=49).collect()];
        let streams = Streams::new(songs.clone(), 2, 6, 3).unwrap();
        let text = order(&songs, 3, 0);
        assert_eq!((text.len(), streams.per_epoch()), (52, 4));
        let ids = |t: Tensor<2, Int>| t.into_data().iter::<i64>().collect::<Vec<i64>>();
        for step in 0..4 {
            let (batch, begins) = streams.window(step, &Device::flex());
            assert_eq!(begins, step == 0);
            let (inputs, targets) = (ids(batch.inputs), ids(batch.targets));
            for stream in 0..2 {
                for t in 0..6 {
                    let at = stream * 24 + step * 6 + t;
                    assert_eq!(inputs[t * 2 + stream], i64::from(text[at]));
                    assert_eq!(targets[t * 2 + stream], i64::from(text[at + 1]));
                }
            }
        }
        assert!(streams.window(4, &Device::flex()).1, "a pass begins");
        assert!(Streams::new(songs, 10, 6, 3).is_err());
    }
}
