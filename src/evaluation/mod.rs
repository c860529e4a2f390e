//! How good the models are.

pub mod captions;
