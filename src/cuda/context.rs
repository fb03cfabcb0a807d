//! Execution context: a stream with its own buffers and graphs, for one call at a time.

use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream, PinnedHostSlice};

use super::activations::Activations;
use super::driver::failed;
use super::engine::LoadedModel;
use super::format::Format;
use super::forward::ForwardPass;
use super::graph::{GraphCache, capture};
use super::input::{Input, Limits};
use super::memory::pinned;
use super::shape::rounded_tokens;
use crate::error::{DeviceError, Result};
use crate::input::batch::TokenBatch;
use crate::model::config::Config;

/// Maximum number of tokens per sub-batch, unless a single sequence may be longer. At dim 768, even the narrowest GEMM
/// then has 192 tiles of 128x128 for the 132 multiprocessors of an H100.
const MAX_TOKENS: usize = 4096;

/// Maximum number of sequences per sub-batch.
pub const MAX_SEQUENCES: usize = 1024;

/// Returns the maximum number of tokens per sub-batch of a model.
pub fn max_tokens(config: &Config) -> usize {
    MAX_TOKENS.max(rounded_tokens(config.max_position_embeddings))
}

/// Stream with the memory and the graphs of the forward passes that it computes.
///
/// The fields are private and none is ever replaced: `graphs` refer to the memory of `input` and
/// `activations`, and to the weights of `loaded`.
pub struct ExecutionContext<F: Format> {
    graphs: GraphCache,
    stream: Arc<CudaStream>,
    input: Input,
    activations: Activations<F>,
    logits: PinnedHostSlice<u32>,
    loaded: Arc<LoadedModel<F>>,
}

impl<F: Format> ExecutionContext<F> {
    pub fn new(context: &Arc<CudaContext>, loaded: Arc<LoadedModel<F>>) -> Result<Self> {
        let stream = context.new_stream().map_err(failed("create a stream"))?;
        let config = &loaded.model.config;
        let labels = loaded.model.head.outputs;
        let limits = Limits::new(config, max_tokens(config), MAX_SEQUENCES);
        Ok(Self {
            input: Input::new(context, &stream, limits)?,
            logits: pinned(context, &stream, limits.sequences.saturating_mul(labels))?,
            activations: Activations::new(&stream, config, limits, labels)?,
            graphs: GraphCache::default(),
            stream,
            loaded,
        })
    }

    /// Computes the logits of some rows of a batch, which must fit a sub-batch.
    pub fn forward(
        &mut self,
        batch: &TokenBatch,
        rows: Range<usize>,
        logits: &mut [f32],
    ) -> Result<()> {
        let enqueued = self.enqueue(batch, rows, logits.len());
        // Also after an error, since copies may be in flight.
        let completed = self.stream.synchronize().map_err(failed("run the forward pass"));
        enqueued.and(completed)?;
        let values = self.logits.as_slice().map_err(failed("copy the logits from the GPU"))?;
        for (logit, &bits) in logits.iter_mut().zip(values) {
            *logit = f32::from_bits(bits);
        }
        Ok(())
    }

    /// Enqueues the copy of the input, the forward pass, and the copy of the logits.
    fn enqueue(&mut self, batch: &TokenBatch, rows: Range<usize>, logits: usize) -> Result<()> {
        let Self { graphs, stream, input, activations, logits: staging, loaded } = self;
        // SAFETY: `forward` waits for the stream before it returns, and `drop` before it releases the input.
        let shape = unsafe { input.write(stream, batch, rows) }?;
        let graph = graphs.get_or_capture(shape, || {
            // SAFETY: the graph is only launched below, right after `write` has returned its shape.
            let slices = unsafe { input.slices(shape) }?;
            let pass = ForwardPass { model: &loaded.model, activations, input: slices, shape };
            // SAFETY: the graph uses memory of `input`, `activations` and `loaded`, which this struct owns
            // and never replaces, and `drop` waits for launches before it releases them.
            unsafe { capture(stream, &loaded.kernels, |capture| pass.record(capture)) }
        })?;
        graph.launch().map_err(failed("start the forward pass"))?;
        let staging = staging.as_mut_slice().map_err(failed("copy the logits from the GPU"))?;
        let staging = staging.get_mut(..logits).ok_or_else(|| DeviceError::Cuda {
            operation: "copy the logits from the GPU",
            reason: format!("{logits} logits exceed a sub-batch"),
        })?;
        // SAFETY: the staging memory belongs to this struct; `forward` reads it after it has waited for the stream,
        // and `drop` waits before it releases it.
        let copied = unsafe { activations.logits.copy_to(stream, staging) };
        copied.map_err(failed("copy the logits from the GPU"))
    }
}

impl<F: Format> Drop for ExecutionContext<F> {
    fn drop(&mut self) {
        // After a panic in `forward`, work may be in flight. An error means that the device is lost, and the work with
        // it.
        let _ = self.stream.synchronize();
    }
}
