//! What is known of English without a network: mood, keywords, rhyme, syllables.
//!
//! Everything here is the same natively and in the browser: tables that are part of the library,
//! plain arithmetic, no files and no clocks.

pub mod keywords;
pub mod mood;
mod words;

pub use keywords::{KeywordVocabulary, Known};
pub use mood::Mood;
