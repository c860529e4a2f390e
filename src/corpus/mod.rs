//! What the models are trained on and measured with.

pub mod collect;
pub mod flickr8k;
pub mod lyrics;
