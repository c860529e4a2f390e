//! From a picture to a sentence: an image encoder and a decoder that puts it into words.

pub mod encoder;
#[cfg(feature = "native")]
pub mod features;
#[cfg(feature = "native")]
pub mod import;
pub mod words;
