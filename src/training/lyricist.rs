//! Training the lyricist on stanzas: padded to a common length, the padding masked.

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::runner::Task;
use crate::error::{Error, Result};
use crate::lyricist::alphabet::{Alphabet, END};
use crate::lyricist::char_rnn::{CharRnn, CharRnnConfig};
use crate::lyricist::sampling::Rng;
use crate::lyricist::writer::ALPHABET;
use crate::weights::{CONFIG, Manifest, TENSORS, write_folder};

/// Batches that are sorted by length together: enough for little padding, few enough that the
/// order stays random.
const POOL: usize = 64;

/// Stanzas as ids, without the end symbol.
pub type Encoded = Vec<Vec<u16>>;

/// Encodes stanzas; returns them and the number of characters that had to be left out.
pub fn encode(alphabet: &Alphabet, stanzas: &[&str]) -> (Encoded, usize) {
    let mut dropped = 0;
    let encoded = stanzas
        .iter()
        .map(|text| {
            let (ids, lost) = alphabet.encode(text);
            dropped += lost;
            ids.into_iter().map(|id| id as u16).collect()
        })
        .collect();
    (encoded, dropped)
}

/// One padded batch: inputs, targets and mask, time-major `[time, batch]`.
#[derive(Debug)]
pub struct Batch {
    /// Ids that are read; the end symbol begins each stanza.
    pub inputs: Tensor<2, Int>,
    /// Ids to be foretold; the end symbol ends each stanza.
    pub targets: Tensor<2, Int>,
    /// 1 where a target counts, 0 in the padding.
    pub mask: Tensor<2>,
    /// Number of targets that count.
    pub characters: usize,
}

/// Puts stanzas side by side, padded to the longest.
pub fn batch(stanzas: &[&[u16]], device: &Device) -> Batch {
    let time = stanzas.iter().map(|s| s.len()).max().unwrap_or(0) + 1;
    let size = stanzas.len();
    let mut inputs = vec![END as i32; time * size];
    let mut targets = vec![END as i32; time * size];
    let mut mask = vec![0.0f32; time * size];
    for (b, stanza) in stanzas.iter().enumerate() {
        for (t, &id) in stanza.iter().enumerate() {
            inputs[(t + 1) * size + b] = i32::from(id);
            targets[t * size + b] = i32::from(id);
        }
        for t in 0..=stanza.len() {
            mask[t * size + b] = 1.0;
        }
    }
    let ints = |v: Vec<i32>| Tensor::<2, Int>::from_data(TensorData::new(v, [time, size]), device);
    Batch {
        inputs: ints(inputs),
        targets: ints(targets),
        mask: Tensor::from_data(TensorData::new(mask, [time, size]), device),
        characters: stanzas.iter().map(|s| s.len() + 1).sum(),
    }
}

/// Groups stanzas of like length into batches of at most `budget` padded characters (at least one
/// stanza each). The order follows from the generator.
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

/// Bits per character over stanzas: every character and the end symbol counted, each stanza from
/// the zero state, no prompt.
///
/// # Errors
/// There is nothing to measure on.
pub fn bits_per_char(model: &CharRnn, stanzas: &Encoded, device: &Device) -> Result<f64> {
    let mut order: Vec<&[u16]> = stanzas.iter().map(Vec::as_slice).collect();
    order.sort_by_key(|s| s.len());
    let (mut nats, mut characters) = (0.0, 0usize);
    for chunk in order.chunks(64) {
        let batch = batch(chunk, device);
        nats += f64::from(model.loss(batch.inputs, batch.targets, batch.mask).into_scalar::<f32>());
        characters += batch.characters;
    }
    if characters == 0 {
        return Err(Error::Data("There are no stanzas to measure on.".into()));
    }
    Ok(nats / characters as f64 / std::f64::consts::LN_2)
}

/// The lyricist's task.
#[derive(Debug)]
pub struct LyricistTask {
    /// Architecture.
    pub config: CharRnnConfig,
    /// Characters.
    pub alphabet: Alphabet,
    /// Stanzas to learn from.
    pub train: Encoded,
    /// Stanzas of other sources, to measure on.
    pub held_out: Encoded,
    /// Padded characters of a batch.
    pub budget: usize,
    /// Seed of the order.
    pub seed: u64,
    /// Where batches go, without autodiff.
    pub device: Device,
    /// Where batches go for an update.
    pub autodiff: Device,
    /// Folder of the exported model.
    pub out: PathBuf,
    /// What the manifest says of the data.
    pub data: String,
    /// What the manifest says of the licence.
    pub licence: String,
    plans: std::cell::RefCell<Option<(usize, Vec<Vec<usize>>)>>,
}

impl LyricistTask {
    /// Sets the task up.
    #[expect(clippy::too_many_arguments, reason = "the task's parts are independent of each other")]
    pub fn new(
        config: CharRnnConfig,
        alphabet: Alphabet,
        train: Encoded,
        held_out: Encoded,
        budget: usize,
        seed: u64,
        device: Device,
        out: PathBuf,
        data: String,
        licence: String,
    ) -> Self {
        let autodiff = device.clone().autodiff();
        let plans = std::cell::RefCell::new(None);
        Self { config, alphabet, train, held_out, budget, seed, device, autodiff, out, data, licence, plans }
    }

    /// Updates in one pass over the stanzas. Each pass is planned anew and may differ by a few.
    pub fn steps_per_epoch(&self) -> usize {
        self.plan_of(0).len()
    }

    fn plan_of(&self, epoch: usize) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = self.train.iter().map(Vec::len).collect();
        plan(&lengths, self.budget, &mut Rng::new(self.seed.wrapping_add(epoch as u64)))
    }

    /// Stanzas of an update. The plan of the pass at hand is kept.
    fn batch_of(&self, step: usize) -> Vec<usize> {
        let per_epoch = match &*self.plans.borrow() {
            Some((_, plan)) => plan.len(),
            None => 0,
        };
        let per_epoch = if per_epoch == 0 {
            let plan = self.plan_of(0);
            let n = plan.len();
            self.plans.replace(Some((0, plan)));
            n
        } else {
            per_epoch
        };
        let epoch = step / per_epoch;
        let known = matches!(&*self.plans.borrow(), Some((e, _)) if *e == epoch);
        if !known {
            let mut plan = self.plan_of(epoch);
            // All passes count as many updates as the first, so that a step's number alone tells
            // its batch.
            let n = plan.len();
            plan = (0..per_epoch).map(|i| plan[i % n].clone()).collect();
            self.plans.replace(Some((epoch, plan)));
        }
        match &*self.plans.borrow() {
            Some((_, plan)) => plan[step % per_epoch].clone(),
            None => Vec::new(),
        }
    }
}

impl Task for LyricistTask {
    type Model = CharRnn;

    fn loss(&self, model: &CharRnn, step: usize) -> Result<(Tensor<1>, usize)> {
        let stanzas: Vec<&[u16]> = self.batch_of(step).iter().map(|&i| self.train[i].as_slice()).collect();
        let batch = batch(&stanzas, &self.autodiff);
        Ok((model.loss(batch.inputs, batch.targets, batch.mask), batch.characters))
    }

    fn validate(&self, model: &CharRnn) -> Result<f64> {
        bits_per_char(model, &self.held_out, &self.device)
    }

    fn score_name(&self) -> &'static str {
        "bits/char"
    }

    fn unit_name(&self) -> &'static str {
        "characters"
    }

    fn export(&self, model: &CharRnn, score: f64) -> Result<()> {
        let json = |e: serde_json::Error| Error::Training(e.to_string());
        let manifest = Manifest {
            name: "lyricist".into(),
            files: Vec::new(),
            licence: self.licence.clone(),
            data: self.data.clone(),
            metrics: serde_json::Map::from_iter([(
                "bits_per_char".to_string(),
                serde_json::json!((score * 1e4).round() / 1e4),
            )]),
        };
        let files = [
            (CONFIG, serde_json::to_vec_pretty(&self.config).map_err(json)?),
            (ALPHABET, serde_json::to_vec(&self.alphabet).map_err(json)?),
            (TENSORS, model.tensors()?.to_safetensors(true)?),
        ];
        write_folder(&self.out, manifest, &files)
    }

    fn identity(&self) -> serde_json::Value {
        serde_json::json!({
            "model": "lyricist", "config": self.config, "alphabet": self.alphabet,
            "stanzas": self.train.len(), "characters": self.train.iter().map(Vec::len).sum::<usize>(),
            "budget": self.budget, "seed": self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_place_never_changes_the_loss() {
        let device = Device::flex();
        let config = CharRnnConfig { alphabet_size: 9, hidden_size: 8, layers: 2, dropout: 0.0 };
        let model = config.init(&device);
        let (short, long) = (vec![1u16, 2, 3], vec![4u16, 5, 6, 7, 8, 1, 2]);
        let nats = |stanzas: &[&[u16]]| {
            let b = batch(stanzas, &device);
            f64::from(model.loss(b.inputs, b.targets, b.mask).into_scalar::<f32>())
        };
        let apart = nats(&[&short]) + nats(&[&long]);
        assert!((nats(&[&short, &long]) - apart).abs() < 1e-4 * apart);

        // What stands in the padding is of no account either.
        let b = batch(&[&short, &long], &device);
        let padding = b.mask.clone().neg() + 1.0;
        let noise = (padding * 3.0).int();
        let changed = model.loss(b.inputs + noise.clone(), b.targets + noise, b.mask).into_scalar::<f32>();
        assert!((f64::from(changed) - apart).abs() < 1e-4 * apart);
    }

    #[test]
    fn a_plan_holds_each_stanza_once_within_the_budget() {
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
        let padded: usize = plan.iter().map(|b| b.len() * b.iter().map(|&i| lengths[i] + 1).max().unwrap()).sum();
        let real: usize = lengths.iter().map(|l| l + 1).sum();
        assert!((padded as f64) < 1.1 * real as f64, "{padded} for {real}");
    }
}
