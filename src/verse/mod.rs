//! What is known of English without a network: mood, keywords, rhyme, syllables.
//!
//! Everything here is the same natively and in the browser: tables that are part of the library,
//! plain arithmetic, no files and no clocks. Where the tables come from, and under which terms,
//! stands beside them in `src/verse/data/README.md`.

mod dictionary;
mod english;
pub mod keywords;
pub mod mood;
mod phonemes;
pub mod rhyme;
pub mod scheme;
mod spelling;
pub mod syllables;
mod words;

pub use english::is_word;
pub use keywords::{KeywordVocabulary, Known};
pub use mood::Mood;
pub use rhyme::{Rhymer, last_word, rhymes};
pub use scheme::Scheme;
