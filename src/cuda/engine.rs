//! The engine: a model on one GPU, and a pool of execution contexts for its callers.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::CudaContext;

use super::context::{ExecutionContext, MAX_SEQUENCES, max_tokens};
use super::driver::{failed, open};
use super::format::{F16, Format, Int8};
use super::forward::kernel_names;
use super::kernels::attention::HEAD_SIZES;
use super::kernels::{Kernels, MAX_NORM_DIM};
use super::weights::{self, DeviceModel, padded};
use crate::backend::Forward;
use crate::error::{DeviceError, Error, Result};
use crate::input::batch::TokenBatch;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::precision::Precision;
use crate::sync::{PerProcess, Turn, Turns};

/// Maximum number of calls that compute at the same time. Further callers wait, since every context needs memory
/// of its own.
const MAX_CONTEXTS: usize = 4;

/// Loads a model onto a GPU.
pub(crate) fn load(
    config: Config,
    checkpoint: &Checkpoint,
    ordinal: usize,
    precision: Precision,
) -> Result<Box<dyn Forward>> {
    match precision {
        Precision::F16 => load_as::<F16>(config, checkpoint, ordinal),
        Precision::Int8 => load_as::<Int8>(config, checkpoint, ordinal),
        Precision::F32 | Precision::Bf16 | Precision::Cascade { .. } | Precision::Auto => {
            Err(DeviceError::CudaPrecision { requested: precision }.into())
        }
    }
}

fn load_as<F: Format>(
    config: Config,
    checkpoint: &Checkpoint,
    ordinal: usize,
) -> Result<Box<dyn Forward>> {
    let context = open(ordinal)?;
    check_supported::<F>(&config)?;
    let kernels = Kernels::load(&context, &kernel_names::<F>(&config))?;
    let stream = context.new_stream().map_err(failed("create a stream"))?;
    let model = weights::load::<F>(&stream, config, checkpoint)?;
    // Execution contexts read the weights on their own streams.
    stream.synchronize().map_err(failed("copy the weights to the GPU"))?;
    let loaded = Arc::new(LoadedModel { model, kernels });
    // Allocated now, so that a lack of memory is reported here.
    let first = ExecutionContext::new(&context, Arc::clone(&loaded))?;
    let lanes = Lanes {
        turns: Turns::new(MAX_CONTEXTS),
        pool: Mutex::new(Pool { idle: vec![first], created: 1 }),
        loaded: Arc::clone(&loaded),
        context,
    };
    let config = loaded.model.config.clone();
    Ok(Box::new(Engine { config, lanes: PerProcess::new(lanes) }))
}

/// Checks that there are kernels for a model's sizes.
fn check_supported<F: Format>(config: &Config) -> Result<()> {
    let require = |holds: bool, field, expected, found| match holds {
        true => Ok(()),
        false => Err(DeviceError::CudaModel { field, expected, found }.into()),
    };
    let (dim, hidden_dim) = (config.dim, config.largest_hidden_dim());
    let head_size = config.head_size();
    let supported = dim.is_multiple_of(64) && dim <= MAX_NORM_DIM;
    require(supported, "dim", "a multiple of 64, at most 2048", dim)?;
    let fits = padded(hidden_dim) <= F::MAX_INPUTS;
    require(fits, "hidden_dim", "at most 4096 in int8", hidden_dim)?;
    let supported = HEAD_SIZES.contains(&head_size);
    require(supported, "dim / n_heads", "16, 32, 64 or 128", head_size)
}

/// Weights and kernels that all execution contexts share.
pub struct LoadedModel<F: Format> {
    pub model: DeviceModel<F>,
    pub kernels: Kernels,
}

struct Engine<F: Format> {
    config: Config,
    /// A GPU's memory and streams belong to the process that made them.
    lanes: PerProcess<Lanes<F>>,
}

impl<F: Format> Forward for Engine<F> {
    fn config(&self) -> &Config {
        &self.config
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        let lanes = self.lanes.get().ok_or_else(forked)?;
        let mut lease = lanes.acquire()?;
        let labels = lanes.loaded.model.head.outputs;
        for rows in batch.parts(max_tokens(&self.config), MAX_SEQUENCES) {
            let logits = &mut logits[rows.start * labels..rows.end * labels];
            lease.context.forward(batch, rows, logits)?;
        }
        lease.release();
        Ok(())
    }
}

/// Returns the error of a call in a forked child.
fn forked() -> Error {
    let reason = "this process was forked from the one that loaded the model, and the driver does not support \
                  that; load the model after forking";
    DeviceError::Cuda { operation: "use the GPU", reason: reason.to_owned() }.into()
}

/// Execution contexts, and the turns of the calls that use them.
struct Lanes<F: Format> {
    /// One turn for each context that may exist. Callers wait only for these, and each turn is passed on however its
    /// call ends.
    turns: Turns,
    pool: Mutex<Pool<F>>,
    loaded: Arc<LoadedModel<F>>,
    context: Arc<CudaContext>,
}

struct Pool<F: Format> {
    idle: Vec<ExecutionContext<F>>,
    /// Number of contexts, idle or in use.
    created: usize,
}

/// Context in use by a call. If it is dropped without being released, after an error or a panic, it is not
/// used again, since its stream may be unusable.
///
/// The fields are dropped in this order, so that the next caller finds the memory of this context free.
struct Lease<'e, F: Format> {
    context: ExecutionContext<F>,
    slot: Slot<'e, F>,
    turn: Turn<'e>,
}

impl<F: Format> Lease<'_, F> {
    /// Returns the context to the pool.
    fn release(self) {
        let Self { context, slot, turn } = self;
        slot.lanes.pool().idle.push(context);
        mem::forget(slot);
        drop(turn);
    }
}

/// Place of a context among those that were created; dropping it frees the place.
struct Slot<'e, F: Format> {
    lanes: &'e Lanes<F>,
}

impl<F: Format> Drop for Slot<'_, F> {
    fn drop(&mut self) {
        // A failure while the context was dropped is this call's error, not the next caller's.
        let _ = self.lanes.context.check_err();
        self.lanes.pool().created -= 1;
    }
}

impl<F: Format> Lanes<F> {
    /// Waits for a turn, and takes an idle context or creates one.
    fn acquire(&self) -> Result<Lease<'_, F>> {
        loop {
            let turn = self.turns.take();
            let mut pool = self.pool();
            let slot = Slot { lanes: self };
            if let Some(context) = pool.idle.pop() {
                return Ok(Lease { context, slot, turn });
            }
            pool.created += 1;
            drop(pool);
            let error = match ExecutionContext::new(&self.context, Arc::clone(&self.loaded)) {
                Ok(context) => return Ok(Lease { context, slot, turn }),
                Err(error) => error,
            };
            drop(slot);
            // If memory is short, callers share the existing contexts. This turn is retired only while another call has
            // a context and thus a turn, so one always remains.
            let pool = self.pool();
            let in_use = pool.created - pool.idle.len();
            match error {
                Error::Device(DeviceError::CudaMemory { .. }) if pool.created > 0 => {
                    if in_use > 0 && pool.idle.is_empty() {
                        turn.retire();
                    }
                }
                error => return Err(error),
            }
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool<F>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
