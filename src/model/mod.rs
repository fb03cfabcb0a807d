//! Configuration, named tensors and weights of a model, independent of any backend.

pub(crate) mod checkpoint;
pub(crate) mod config;
mod family;
pub(crate) mod files;
pub(crate) mod matrix;
pub(crate) mod weights;
