//! Training: the loop that both models share, its checkpoints, and a file for each model.

pub mod batches;
pub mod captioner;
pub mod checkpoint;
pub mod journal;
pub mod lyricist;
pub mod runner;
pub mod streams;

pub use journal::Journal;
pub use runner::{Outcome, Progress, Schedule, Settings, Task, train};

/// Keeps freed memory in the process. Every update asks for the same large buffers again; glibc
/// gives them back to the system in between, and a fifth of the time went into clearing the pages
/// anew. Does nothing on other systems.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only changes how later allocations are served, whatever values it is given.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}
