//! From a picture to a song.
#[cfg(feature = "native")]
pub mod cli;
#[cfg(feature = "native")]
pub mod corpus;
pub mod error;
pub mod lyricist;
pub mod nn;
#[cfg(feature = "native")]
pub mod training;
pub mod weights;

pub use error::{Error, Result};
