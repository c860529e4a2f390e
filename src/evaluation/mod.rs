//! How good the models are.

pub mod captions;
pub mod copying;
pub mod lyrics;
pub mod meteor;
