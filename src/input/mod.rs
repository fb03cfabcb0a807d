//! Text and token ids → the packed batch that an engine computes on.

pub(crate) mod batch;
#[cfg(feature = "text")]
pub(crate) mod tokenizer;
