//! Model input: the tokenizer, and packed batches of token ids.

pub(crate) mod batch;
pub(crate) mod cut;
#[cfg(feature = "text")]
pub(crate) mod tokenizer;
#[cfg(feature = "text")]
pub(crate) mod truncation;
