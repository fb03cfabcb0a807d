//! Tests of the library's public API.

mod bad_input;
mod batcher;
mod bf16;
mod bundled_model;
mod cascade;
#[cfg(feature = "explain")]
mod explain;
mod int8;
mod invariance;
mod lifetimes;
#[cfg(feature = "text")]
mod long_texts;
#[cfg(feature = "text")]
mod many_texts;
mod parity;
#[cfg(feature = "explain")]
mod perturb;
#[cfg(feature = "prune")]
mod prune;
mod pruned_layers;
#[cfg(feature = "text")]
mod tokenizer_files;
mod variants;
