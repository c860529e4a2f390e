//! Sequences side by side: padded to a common length, the padding masked, in an order that
//! follows from a seed.

use std::sync::Mutex;

use burn::tensor::{Device, Int, Tensor, TensorData};
use sha2::{Digest, Sha256};

use crate::lyricist::sampling::Rng;

/// Batches that are sorted by length together: enough for little padding, few enough that the
/// order stays random.
const POOL: usize = 64;

/// One padded batch: inputs, targets and mask, time-major `[time, batch]`.
#[derive(Debug)]
pub struct Batch {
    /// Ids that are read; the end symbol begins each sequence.
    pub inputs: Tensor<2, Int>,
    /// Ids to be foretold; the end symbol ends each sequence.
    pub targets: Tensor<2, Int>,
    /// 1 where a target counts, 0 in the padding.
    pub mask: Tensor<2>,
    /// Number of targets that count.
    pub units: usize,
}

/// Puts sequences side by side, padded to the longest.
pub fn pad(sequences: &[&[u16]], end: usize, device: &Device) -> Batch {
    let time = sequences.iter().map(|s| s.len()).max().unwrap_or(0) + 1;
    let size = sequences.len();
    let mut inputs = vec![end as i32; time * size];
    let mut targets = vec![end as i32; time * size];
    let mut mask = vec![0.0f32; time * size];
    for (b, sequence) in sequences.iter().enumerate() {
        for (t, &id) in sequence.iter().enumerate() {
            inputs[(t + 1) * size + b] = i32::from(id);
            targets[t * size + b] = i32::from(id);
        }
        for t in 0..=sequence.len() {
            mask[t * size + b] = 1.0;
        }
    }
    let ints = |v: Vec<i32>| Tensor::<2, Int>::from_data(TensorData::new(v, [time, size]), device);
    Batch {
        inputs: ints(inputs),
        targets: ints(targets),
        mask: Tensor::from_data(TensorData::new(mask, [time, size]), device),
        units: sequences.iter().map(|s| s.len() + 1).sum(),
    }
}

/// Groups sequences of like length into batches of at most `budget` padded symbols (at least one
/// sequence each). The order follows from the generator.
pub fn plan(lengths: &[usize], budget: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    rng.shuffle(&mut order);
    let mean = lengths.iter().sum::<usize>() / lengths.len().max(1) + 1;
    let pool = (budget / mean).max(1) * POOL;
    let mut batches = Vec::new();
    for chunk in order.chunks_mut(pool) {
        chunk.sort_by_key(|&i| lengths[i]);
        let mut current: Vec<usize> = Vec::new();
        for &i in chunk.iter() {
            if !current.is_empty() && (current.len() + 1) * (lengths[i] + 1) > budget {
                batches.push(std::mem::take(&mut current));
            }
            current.push(i);
        }
        if !current.is_empty() {
            batches.push(current);
        }
    }
    rng.shuffle(&mut batches);
    batches
}

/// The batches of every pass over the data: which sequences an update takes follows from its
/// number alone, so a resumed run goes the same way.
#[derive(Debug)]
pub struct Plans {
    lengths: Vec<usize>,
    budget: usize,
    seed: u64,
    per_epoch: usize,
    /// The pass whose plan was asked for last.
    current: Mutex<(usize, Vec<Vec<usize>>)>,
}

impl Plans {
    /// Plans for sequences of the given lengths.
    pub fn new(lengths: Vec<usize>, budget: usize, seed: u64) -> Self {
        let first = plan(&lengths, budget, &mut Rng::new(seed));
        Self { lengths, budget, seed, per_epoch: first.len().max(1), current: Mutex::new((0, first)) }
    }

    /// Updates in a pass.
    pub fn per_epoch(&self) -> usize {
        self.per_epoch
    }

    /// Sequences of an update.
    pub fn batch(&self, step: usize) -> Vec<usize> {
        let epoch = step / self.per_epoch;
        let mut current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if current.0 != epoch {
            let mut rng = Rng::new(self.seed.wrapping_add(epoch as u64));
            *current = (epoch, plan(&self.lengths, self.budget, &mut rng));
        }
        // Later passes may have a batch more or less than the first; they are cut or wrap round.
        let batches = &current.1;
        batches.get(step % self.per_epoch % batches.len().max(1)).cloned().unwrap_or_default()
    }

    /// The settings on which the order depends, and a digest of the sequences themselves, which
    /// are given in their own order.
    pub fn identity<'a>(&self, sequences: impl IntoIterator<Item = &'a [u16]>) -> serde_json::Value {
        let mut digest = Sha256::new();
        for sequence in sequences {
            digest.update((sequence.len() as u64).to_le_bytes());
            for id in sequence {
                digest.update(id.to_le_bytes());
            }
        }
        serde_json::json!({
            "sequences": self.lengths.len(), "budget": self.budget, "seed": self.seed,
            "sha256": format!("{:x}", digest.finalize()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_holds_each_sequence_once_within_the_budget() {
        let mut rng = Rng::new(5);
        let lengths: Vec<usize> = (0..1000).map(|_| 10 + rng.below(300)).collect();
        let plan = plan(&lengths, 2000, &mut rng);
        let mut all: Vec<usize> = plan.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        for batch in &plan {
            let longest = batch.iter().map(|&i| lengths[i] + 1).max().unwrap();
            assert!(batch.len() == 1 || batch.len() * longest <= 2000);
        }
        let padded: usize =
            plan.iter().map(|b| b.len() * b.iter().map(|&i| lengths[i] + 1).max().unwrap()).sum();
        let real: usize = lengths.iter().map(|l| l + 1).sum();
        assert!((padded as f64) < 1.1 * real as f64, "{padded} for {real}");
    }

    #[test]
    fn passes_differ_and_repeat_themselves_exactly() {
        let lengths: Vec<usize> = (0..50).map(|i| 5 + i % 7).collect();
        let plans = || Plans::new(lengths.clone(), 60, 9);
        let run = |plans: &Plans| (0..3 * plans.per_epoch()).map(|s| plans.batch(s)).collect::<Vec<_>>();
        let (a, b) = (plans(), plans());
        let first = run(&a);
        assert_eq!(first, run(&b));
        assert_ne!(first[..a.per_epoch()], first[a.per_epoch()..2 * a.per_epoch()]);
        // A run that starts in the middle goes on as one that did not stop.
        assert_eq!(plans().batch(a.per_epoch() + 3), first[a.per_epoch() + 3]);
    }
}
