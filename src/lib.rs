//! From a picture to a song.
pub mod captioner;
pub mod error;
pub mod picture;
pub mod weights;

pub use error::{Error, Result};
