//! The operations of the network, each written once over vectors of any instruction set.

pub(super) mod activation;
pub(super) mod attention;
pub(super) mod bfloat;
pub(super) mod embeddings;
pub(super) mod layer_norm;
pub(super) mod linear;
pub(super) mod math;
pub(super) mod probabilities;
pub(super) mod quantize;
pub(super) mod softmax;
