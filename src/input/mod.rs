//! Model input: the tokenizer, and packed batches of token ids.

pub(crate) mod batch;
#[cfg(feature = "text")]
pub(crate) mod tokenizer;
#[cfg(feature = "text")]
pub(crate) mod truncation;
