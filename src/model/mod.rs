//! A checkpoint's configuration and named tensors, and the weights of a model made of them.

pub(crate) mod checkpoint;
pub(crate) mod config;
pub(crate) mod matrix;
pub(crate) mod weights;
