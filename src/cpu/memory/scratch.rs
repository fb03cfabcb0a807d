//! Working memory of a forward pass, kept from call to call.

use std::sync::{Mutex, PoisonError};

use crate::cpu::gemm::weight::Weight;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::AttentionScratch;
use crate::cpu::ops::linear::LinearScratch;

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

impl<W: Weight> Scratch<W> {
    /// Makes room for so many threads.
    pub fn resize(&mut self, threads: usize) {
        self.attention.resize_with(threads, AttentionScratch::default);
        self.linear.resize(threads);
    }
}

/// Working memory that is idle: one for each call that ran at the same time as others.
#[derive(Default)]
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
}

impl<T: Default> Pool<T> {
    pub fn take(&self) -> T {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub fn give_back(&self, memory: T) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}
