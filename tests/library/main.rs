//! Tests of the library's public API.

mod bad_input;
mod bundled_model;
mod explain;
mod int8;
mod invariance;
mod parity;
mod perturb;
