//! [`Workspace`]: the buffers of a forward pass.

use super::gemm::weight::Weight;
use super::last_layer::FirstQueries;
use super::memory::aligned::AlignedVec;
use super::ops::linear::LinearScratch;
use super::sequences::Sequences;
use crate::model::config::Config;

/// Buffers of one forward pass, reused from call to call.
#[derive(Default)]
pub(super) struct Workspace<W: Weight> {
    pub sequences: Sequences,
    /// `[tokens, dim]`: states passed from layer to layer.
    pub hidden: AlignedVec,
    /// `[sequences, dim]`: states of first tokens, in the last layer and the head.
    pub first_tokens: AlignedVec,
    /// `[tokens, 3·dim]`: queries, keys and values. Layers with fewer heads use the beginning of this and other buffers.
    pub query_key_value: AlignedVec,
    pub first_queries: FirstQueries,
    /// `[sequences · heads, dim]`: averages of the last layer's inputs.
    pub averages: AlignedVec,
    /// `[sequences, dim]`: output of the head's first layer.
    pub pooled: AlignedVec,
    /// `[tokens, dim]`: output of attention.
    pub context: AlignedVec,
    /// `[tokens, hidden_dim]`, in rows [`inner_stride`] apart: values between the two feed-forward layers.
    pub inner: AlignedVec,
    pub linear: LinearScratch<W>,
    /// Scratch of each thread.
    pub attention: Vec<W::Attention>,
}

impl<W: Weight> Workspace<W> {
    /// Makes room for a number of threads.
    pub fn set_threads(&mut self, threads: usize) {
        self.attention.resize_with(threads, W::Attention::default);
        self.linear.resize(threads);
    }

    /// Makes room for sequences of these lengths.
    pub fn set_sequences(&mut self, config: &Config, lengths: impl Iterator<Item = usize>) {
        let dim = config.dim;
        self.sequences.set(lengths);
        let (tokens, rows) = (self.sequences.tokens(), self.sequences.len());
        self.hidden.resize(tokens * dim);
        self.query_key_value.resize(tokens * 3 * dim);
        self.context.resize(tokens * dim);
        self.inner.resize(tokens * inner_stride(config.largest_hidden_dim()));
        self.first_tokens.resize(rows * dim);
        self.pooled.resize(rows * dim);
    }
}

/// Returns the distance of rows between the two feed-forward layers: a cache line more than their length, since the
/// rows of a tile would all compete for one set of L1 if they were 12 KiB apart.
pub(super) fn inner_stride(hidden_dim: usize) -> usize {
    const LINE: usize = 16;
    hidden_dim + LINE
}
