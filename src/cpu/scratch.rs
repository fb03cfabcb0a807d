//! Working memory of a forward pass, kept from call to call.

use std::sync::{Mutex, PoisonError};

use super::aligned::AlignedVec;
use super::attention::AttentionScratch;
use super::quantise::QuantisedRows;

/// The buffers of one forward pass.
#[derive(Default)]
pub(crate) struct Scratch {
    /// `[tokens, dim]`: what goes from layer to layer.
    pub hidden: AlignedVec,
    /// `[tokens, 3·dim]`
    pub query_key_value: AlignedVec,
    /// `[tokens, dim]`: attention's output.
    pub context: AlignedVec,
    /// `[tokens, hidden_dim]` and a gap: between the two feed-forward layers.
    pub inner: AlignedVec,
    /// The input of a linear layer in 8 bits.
    pub quantised: QuantisedRows,
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
pub(crate) struct ScratchPool {
    idle: Mutex<Vec<Scratch>>,
}

impl ScratchPool {
    pub fn take(&self) -> Scratch {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().unwrap_or_default()
    }

    pub fn give_back(&self, scratch: Scratch) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}
