//! Tests of the library's public API.

mod bad_input;
mod bundled_model;
#[cfg(feature = "explain")]
mod explain;
mod int8;
mod invariance;
mod parity;
#[cfg(feature = "explain")]
mod perturb;
