//! The second model: a character-level LSTM that writes a stanza (a char-RNN: Karpathy, The
//! Unreasonable Effectiveness of Recurrent Neural Networks, 2015; Graves 2013, arXiv 1308.0850).

pub mod alphabet;
pub mod brief;
pub mod char_rnn;
mod drafts;
pub mod foresight;
mod judge;
pub mod options;
pub mod prompt;
pub mod sampling;
mod tape;
pub mod writer;

pub use alphabet::Alphabet;
pub use brief::{Brief, Kind};
pub use char_rnn::{CharRnn, CharRnnConfig};
pub use foresight::Foresight;
pub use options::SongOptions;
pub use prompt::{Keyword, Prompt};
pub use sampling::Rng;
pub use writer::{Lyricist, Song};
