//! From a picture to a song.
pub mod error;
pub mod weights;

pub use error::{Error, Result};
