//! From a picture to a song.
pub mod captioner;
#[cfg(feature = "native")]
pub mod corpus;
pub mod error;
#[cfg(feature = "native")]
pub mod evaluation;
pub mod picture;
pub mod weights;

pub use error::{Error, Result};
