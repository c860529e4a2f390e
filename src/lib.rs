//! From a picture to a song.
pub mod error;
pub mod lyricist;
pub mod nn;
pub mod weights;

pub use error::{Error, Result};
