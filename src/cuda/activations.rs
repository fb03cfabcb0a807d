//! Device memory for the intermediate results of a forward pass.

use std::sync::Arc;

use cudarc::driver::CudaStream;
use half::f16;

use super::format::Format;
use super::input::Limits;
use super::memory::DeviceBuffer;
use super::weights::padded;
use crate::error::Result;
use crate::model::config::Config;

/// Buffers that a forward pass writes, in the order of its steps. They fit the widest layer; `hidden_dim` is its width.
pub struct Activations<F: Format> {
    /// `[tokens, dim]`: hidden states.
    pub states: DeviceBuffer<f16>,
    /// `[tokens, max(dim, hidden_dim)]`: input of the next GEMM, if the format quantizes it.
    pub quantized: F::Quantized,
    /// `[tokens, 3·dim]`
    pub query_key_value: DeviceBuffer<f16>,
    /// `[tokens, dim]`: output of attention.
    pub context: DeviceBuffer<f16>,
    /// `[tokens, hidden_dim]`: between the two feed-forward layers.
    pub inner: DeviceBuffer<f16>,
    /// `[sequences, dim]`: hidden states of the first tokens, in the last layer and the head.
    pub first_states: DeviceBuffer<f16>,
    /// `[sequences, dim]`: the same rows quantized, input of the last layer's query projection.
    pub first_quantized: F::Quantized,
    /// `[sequences, dim]`: queries of the first tokens, and later the output of the pre-classifier.
    pub first_queries: DeviceBuffer<f16>,
    /// `[sequences, labels]`
    pub logits: DeviceBuffer<f32>,
}

impl<F: Format> Activations<F> {
    /// Allocates memory for sub-batches within these limits.
    pub fn new(
        stream: &Arc<CudaStream>,
        config: &Config,
        limits: Limits,
        labels: usize,
    ) -> Result<Self> {
        let dim = config.dim;
        let hidden_dim = padded(config.largest_hidden_dim());
        let Limits { tokens, sequences, .. } = limits;
        let new = |rows: usize, width: usize| DeviceBuffer::new(stream, rows.saturating_mul(width));
        // Attention and gathering skip the rows that a shape was rounded up by, but GEMMs read them. The
        // results are unused; zeros make them identical in every run.
        let zeroed =
            |rows: usize, width: usize| DeviceBuffer::zeroed(stream, rows.saturating_mul(width));
        Ok(Self {
            states: new(tokens, dim)?,
            quantized: F::allocate(stream, tokens, dim.max(hidden_dim))?,
            query_key_value: new(tokens, 3 * dim)?,
            context: zeroed(tokens, dim)?,
            inner: new(tokens, hidden_dim)?,
            first_states: zeroed(sequences, dim)?,
            first_quantized: F::allocate(stream, sequences, dim)?,
            first_queries: new(sequences, dim)?,
            logits: DeviceBuffer::new(stream, sequences.saturating_mul(labels))?,
        })
    }
}
