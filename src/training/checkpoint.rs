//! The state of a training run in one file, so that it is there whole or not at all.
//!
//! Layout: 8 bytes of magic, four lengths (u64, little-endian), then the run's state as JSON, the
//! model's record, the optimiser's record and the task's memory, then the SHA-256 of all that
//! (32 bytes).

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::weights::write_atomic;

const MAGIC: &[u8; 8] = b"songckp2";
const HEADER: usize = 8 + 4 * 8;
const DIGEST: usize = 32;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// What is trained and with which settings: a run goes on only with the same.
    pub task: serde_json::Value,
    /// Updates done.
    pub step: usize,
    /// Units (characters, words) seen.
    pub units: u64,
    /// Seconds spent training, over all sessions.
    pub seconds: f64,
    /// Best validation score so far.
    pub best: Option<f64>,
    /// Validations since then.
    #[serde(default)]
    pub worse: usize,
}

/// A run's state with its weights and the optimiser's moments.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where the run stands.
    pub state: RunState,
    /// The model's record.
    pub model: Vec<u8>,
    /// The optimiser's record.
    pub optimizer: Vec<u8>,
    /// What the task carries from one update to the next.
    pub memory: Vec<u8>,
}

impl Checkpoint {
    /// Writes the file; a reader sees the old one or the new one, never a part.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let state = serde_json::to_vec(&self.state).map_err(|e| Error::Training(e.to_string()))?;
        let parts = [&state, &self.model, &self.optimizer, &self.memory];
        let mut bytes = Vec::with_capacity(HEADER + parts.iter().map(|p| p.len()).sum::<usize>() + DIGEST);
        bytes.extend_from_slice(MAGIC);
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        }
        for part in parts {
            bytes.extend_from_slice(part);
        }
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        write_atomic(path, &bytes)
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// The file is missing, is something else, or is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let bad = |why: &str| Error::Training(format!("{} can't be resumed from: {why}", path.display()));
        let (header, _) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| bad("it is too short"))?;
        if &header[..8] != MAGIC {
            return Err(bad("it is no checkpoint of ours"));
        }
        let (content, digest) = bytes.split_last_chunk::<DIGEST>().ok_or_else(|| bad("it is too short"))?;
        if Sha256::digest(content).as_slice() != digest {
            return Err(bad("it is damaged (its SHA-256 does not match)"));
        }
        let mut rest = content.get(HEADER..).ok_or_else(|| bad("it is too short"))?;
        let mut parts = header[8..].as_chunks::<8>().0.iter().map(|n| {
            let n = usize::try_from(u64::from_le_bytes(*n)).unwrap_or(usize::MAX);
            let (part, left) = rest.split_at_checked(n)?;
            rest = left;
            Some(part)
        });
        let mut next = || parts.next().flatten().ok_or_else(|| bad("its parts are cut off"));
        let (state, model, optimizer, memory) = (next()?, next()?, next()?, next()?);
        Ok(Self {
            state: serde_json::from_slice(state).map_err(|e| bad(&e.to_string()))?,
            model: model.to_vec(),
            optimizer: optimizer.to_vec(),
            memory: memory.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_whole_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.ckpt");
        let state = RunState {
            task: serde_json::json!({"hidden": 4}),
            step: 7,
            units: 900,
            seconds: 1.5,
            best: Some(2.25),
            worse: 1,
        };
        let (model, optimizer, memory) = (vec![1; 100], vec![2; 50], vec![3; 9]);
        let whole = Checkpoint { state: state.clone(), model, optimizer, memory };
        whole.save(&path).unwrap();
        let back = Checkpoint::load(&path).unwrap();
        assert_eq!(
            (back.state, back.model, back.optimizer, back.memory),
            (state, whole.model, whole.optimizer, whole.memory)
        );

        let whole = std::fs::read(&path).unwrap();
        for (bytes, says) in [
            (&whole[..whole.len() - 1], "damaged"),
            (&whole[..10], "too short"),
            (&[b"x", &whole[1..]].concat(), "no checkpoint"),
            (&[&MAGIC[..], &Sha256::digest(MAGIC)].concat(), "too short"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
