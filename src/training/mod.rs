//! Training: the loop that both models share, its checkpoints, and a file for each model.

pub mod batches;
pub mod captioner;
pub mod checkpoint;
pub mod lyricist;
pub mod runner;

pub use runner::{Outcome, Progress, Schedule, Settings, Task, train};
