//! Token ids, positions and sequence ends of a sub-batch, on their way to the device.

use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream, PinnedHostSlice};

use super::driver::failed;
use super::kernels::parameters::Indices;
use super::memory::{DeviceBuffer, pinned};
use super::shape::Shape;
use crate::error::{DeviceError, Result};
use crate::input::batch::TokenBatch;
use crate::model::config::Config;

/// Input of the forward pass: ids, positions and sequence ends, end to end, as a [`Shape`] determines.
pub struct Input {
    values: DeviceBuffer<u32>,
    staging: PinnedHostSlice<u32>,
    limits: Limits,
}

/// Largest sub-batch, and sizes of the embedding tables.
#[derive(Clone, Copy)]
pub struct Limits {
    pub tokens: usize,
    pub sequences: usize,
    vocab_size: usize,
    positions: usize,
}

impl Limits {
    pub fn new(config: &Config, tokens: usize, sequences: usize) -> Self {
        let Config { vocab_size, max_position_embeddings: positions, .. } = *config;
        Self { tokens, sequences, vocab_size, positions }
    }
}

/// Input of one shape on the device.
#[derive(Clone, Copy)]
pub struct InputSlices<'m> {
    pub ids: Indices<'m>,
    pub positions: Indices<'m>,
    /// Exclusive end of each sequence among the tokens; the next sequence begins there.
    pub sequence_ends: Indices<'m>,
}

impl Input {
    pub fn new(
        context: &Arc<CudaContext>,
        stream: &Arc<CudaStream>,
        limits: Limits,
    ) -> Result<Self> {
        let len = 2 * limits.tokens + limits.sequences;
        let staging = pinned(context, stream, len)?;
        // Zeros are valid indices of every kind.
        Ok(Self { values: DeviceBuffer::zeroed(stream, len)?, staging, limits })
    }

    /// Enqueues the copy of some rows of a batch to the device and returns the shape in which they lie there.
    ///
    /// Tokens that the shape adds belong to no sequence, and sequences that it adds are empty.
    ///
    /// # Safety
    /// The stream is waited for before `self` is written again or dropped.
    pub unsafe fn write(
        &mut self,
        stream: &Arc<CudaStream>,
        batch: &TokenBatch,
        rows: Range<usize>,
    ) -> Result<Shape> {
        let longest = rows.clone().map(|row| batch.row(row).len()).max().unwrap_or(0);
        let tokens = match rows.clone().last() {
            Some(last) => batch.row(rows.start).start..batch.row(last).end,
            None => 0..0,
        };
        let shape = Shape::new(tokens.len(), rows.len(), longest).rounded();
        let ids = &batch.input_ids()[tokens.clone()];
        let positions = &batch.positions()[tokens.clone()];
        self.check(shape, ids, positions)?;
        // No more than the number of tokens, which `check` limits.
        let ends = rows.map(|row| (batch.row(row).end - tokens.start) as u32);

        let staging = self.staging.as_mut_slice().map_err(failed("copy the input to the GPU"))?;
        let (to_ids, rest) = staging.split_at_mut(shape.tokens);
        let (to_positions, rest) = rest.split_at_mut(shape.tokens);
        fill(to_ids, ids.iter().copied(), 0);
        fill(to_positions, positions.iter().copied(), 0);
        fill(&mut rest[..shape.sequences], ends, tokens.len() as u32);
        let len = 2 * shape.tokens + shape.sequences;
        // SAFETY: the staging memory belongs to `self`, which stays as it is until the copy is done (caller).
        let copied = unsafe { self.values.copy_from(stream, &staging[..len]) };
        copied.map_err(failed("copy the input to the GPU"))?;
        Ok(shape)
    }

    /// Checks that the input fits the buffer and the embedding tables. Kernels rely on it.
    fn check(&self, shape: Shape, ids: &[u32], positions: &[u32]) -> Result<()> {
        let Limits { tokens, sequences, vocab_size, positions: position_limit } = self.limits;
        let within = |values: &[u32], limit| values.iter().all(|&value| (value as usize) < limit);
        let fits = shape.tokens <= tokens
            && shape.sequences <= sequences
            && within(ids, vocab_size)
            && within(positions, position_limit);
        if fits {
            return Ok(());
        }
        let reason = format!(
            "{shape:?} with ids below {vocab_size} and positions below {position_limit} was \
             expected to fit {tokens} tokens in {sequences} sequences"
        );
        Err(DeviceError::Cuda { operation: "copy the input to the GPU", reason }.into())
    }

    /// Returns the input on the device.
    ///
    /// # Safety
    /// Kernels may read the slices only while the last `write` returned this shape.
    pub unsafe fn slices(&self, shape: Shape) -> Result<InputSlices<'_>> {
        let Shape { tokens, sequences, .. } = shape;
        let ids = self.values.slice(0..tokens)?;
        let positions = self.values.slice(tokens..2 * tokens)?;
        let ends = self.values.slice(2 * tokens..2 * tokens + sequences)?;
        // SAFETY: `write` checks ids and positions and pads them with 0; ends are at most the number of
        // tokens, to which the shape adds. The caller promises that the shape is that of the last `write`.
        unsafe {
            Ok(InputSlices {
                ids: Indices::new(ids, self.limits.vocab_size),
                positions: Indices::new(positions, self.limits.positions),
                sequence_ends: Indices::new(ends, tokens + 1),
            })
        }
    }
}

/// Writes values, and fills the rest with padding.
fn fill(to: &mut [u32], values: impl Iterator<Item = u32>, padding: u32) {
    let padded = values.chain(std::iter::repeat(padding));
    for (to, value) in to.iter_mut().zip(padded) {
        *to = value;
    }
}
