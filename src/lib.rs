//! From a picture to a song.
//!
//! A picture goes in; an image captioner (a convolutional network and a word LSTM) says what is
//! in it; a character LSTM, told the words of that sentence, writes a stanza about them.
//! Everything runs where the caller is: natively, or in a browser as WebAssembly, on the CPU or
//! on a GPU through WebGPU.
//!
//! ```text
//! picture bytes -> Picture -> Captioner -> caption -> Prompt -> Lyricist -> song
//! ```
//!
//! [`Songwriter`] is that road as one type:
//!
//! ```
//! # #[cfg(feature = "native")]
//! # fn main() -> songwriter::Result<()> {
//! use std::{ops::ControlFlow, path::Path};
//!
//! use songwriter::nn::{Compute, block_on};
//! use songwriter::weights::ModelFiles;
//! use songwriter::{Picture, Prompt, SongOptions, Songwriter};
//!
//! let open = |model| ModelFiles::open(&Path::new("models").join(model));
//! let songwriter = Songwriter::new(&open("captioner")?, &open("lyricist")?, &Compute::cpu())?;
//!
//! let bytes = std::fs::read("www/samples/cat.jpg").expect("the sample is there");
//! let picture = Picture::from_bytes("cat.jpg", &bytes)?;
//! let caption = block_on(songwriter.caption(&picture, 3))?;
//!
//! let options = SongOptions { random_seed: 42, ..SongOptions::default() };
//! let songs = block_on(songwriter.write(
//!     &Prompt::from_caption(&caption.text),
//!     &options,
//!     2,                                                        // songs
//!     async |_song, _text: &str| ControlFlow::Continue(()),     // called for each new line
//! ))?;
//! assert_eq!(songs[0].text.lines().count(), 4);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "native"))]
//! # fn main() {}
//! ```
//!
//! # Where to find what
//!
//! | module | what |
//! |---|---|
//! | [`songwriter`](Songwriter) | the road above |
//! | [`picture`] | decoding, orientation, the squash to 224 x 224 |
//! | [`captioner`] | encoder, decoder, beam search, words |
//! | [`lyricist`] | alphabet, network, what it is told, drafts of lines and the choice among them |
//! | [`nn`] | recurrent layers: for burn tensors, for whole sequences on the CPU, for single steps |
//! | [`verse`] | what is known of English without a network: mood, keywords, rhyme, syllables |
//! | [`weights`] | model folders: manifest, digests, tensors |
//! | [`error`] | what can go wrong, in sentences |
//! | `corpus`, `training`, `evaluation`, `results`, `cli` | with the feature `native`: data, training, measures, files of results, the command line |
//!
//! Features: `native` adds the last row and everything that needs files and threads; `vulkan` and
//! `cuda`, on top of it, train on a GPU.

#![warn(missing_docs)]

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
#[cfg(feature = "native")]
pub mod results;
pub mod songwriter;
#[cfg(feature = "native")]
pub mod training;
pub mod verse;
#[cfg(target_arch = "wasm32")]
mod web;
pub mod weights;

pub use captioner::{Caption, Captioner};
pub use error::{Error, Result};
pub use lyricist::{Lyricist, Prompt, Song, SongOptions};
pub use picture::Picture;
pub use songwriter::Songwriter;
