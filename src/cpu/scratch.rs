//! Working memory of a forward pass, kept from call to call.

use std::sync::{Mutex, PoisonError};

use super::aligned::AlignedVec;
use super::attention::AttentionScratch;
use super::linear::LinearScratch;
use super::weight::Weight;

/// The buffers of one forward pass.
#[derive(Default)]
pub(crate) struct Scratch<W: Weight> {
    /// `[tokens, dim]`: what goes from layer to layer.
    pub hidden: AlignedVec,
    /// `[tokens, 3·dim]`
    pub query_key_value: AlignedVec,
    /// `[tokens, dim]`: attention's output.
    pub context: AlignedVec,
    /// `[tokens, hidden_dim]` and a gap: between the two feed-forward layers.
    pub inner: AlignedVec,
    pub linear: LinearScratch<W>,
    /// `[rows, dim]`: the first tokens alone, in the last layer and the head.
    pub first_tokens: AlignedVec,
    /// `[rows, dim]`: their queries, and later what the head makes of them.
    pub first_queries: AlignedVec,
    /// The tokens of each row of the batch.
    pub sequences: Vec<std::ops::Range<usize>>,
    /// One for each thread.
    pub attention: Vec<AttentionScratch>,
}

/// One [`Scratch`] for each call that ran at the same time as others.
#[derive(Default)]
pub(crate) struct ScratchPool<W: Weight> {
    idle: Mutex<Vec<Scratch<W>>>,
}

impl<W: Weight> ScratchPool<W> {
    /// Working memory for so many threads.
    pub fn take(&self, threads: usize) -> Scratch<W> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = idle.pop().unwrap_or_default();
        scratch.attention.resize_with(threads, AttentionScratch::default);
        scratch.linear.resize(threads);
        scratch
    }

    pub fn give_back(&self, scratch: Scratch<W>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}
