//! From a picture to a song.
pub mod captioner;
#[cfg(feature = "native")]
pub mod cli;
#[cfg(feature = "native")]
pub mod corpus;
pub mod error;
#[cfg(feature = "native")]
pub mod evaluation;
pub mod lyricist;
pub mod nn;
pub mod picture;
pub mod songwriter;
#[cfg(feature = "native")]
pub mod training;
#[cfg(target_arch = "wasm32")]
mod web;
pub mod weights;

pub use captioner::{Caption, Captioner};
pub use error::{Error, Result};
pub use lyricist::{Lyricist, Prompt, Song, SongOptions};
pub use picture::Picture;
pub use songwriter::Songwriter;
