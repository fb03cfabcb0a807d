//! The engine: a model on one GPU, and a pool of execution contexts for its callers.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cudarc::driver::CudaContext;

use super::context::{ExecutionContext, MAX_SEQUENCES, max_tokens};
use super::driver::{failed, open};
use super::format::{F16, Format, Int8};
use super::forward::kernel_names;
use super::kernels::attention::HEAD_SIZES;
use super::kernels::{Kernels, MAX_NORM_DIM};
use super::weights::{self, DeviceModel};
use crate::backend::Forward;
use crate::error::{DeviceError, Error, Result};
use crate::input::batch::TokenBatch;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::precision::Precision;

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
        Precision::F32 => Err(DeviceError::CudaPrecision { requested: precision }.into()),
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
    let pool = Pool { idle: vec![first], created: 1, limit: MAX_CONTEXTS };
    Ok(Box::new(Engine { pool: Mutex::new(pool), released: Condvar::new(), loaded, context }))
}

/// Checks that there are kernels for a model's sizes.
fn check_supported<F: Format>(config: &Config) -> Result<()> {
    let require = |holds: bool, field, expected, found| match holds {
        true => Ok(()),
        false => Err(DeviceError::CudaModel { field, expected, found }.into()),
    };
    let Config { dim, hidden_dim, .. } = *config;
    let head_size = config.head_size();
    let supported = dim.is_multiple_of(64) && dim <= MAX_NORM_DIM;
    require(supported, "dim", "a multiple of 64, at most 2048", dim)?;
    require(hidden_dim.is_multiple_of(64), "hidden_dim", "a multiple of 64", hidden_dim)?;
    require(hidden_dim <= F::MAX_INPUTS, "hidden_dim", "at most 4096 in int8", hidden_dim)?;
    let supported = HEAD_SIZES.contains(&head_size);
    require(supported, "dim / n_heads", "16, 32, 64 or 128", head_size)
}

/// Weights and kernels that all execution contexts share.
pub struct LoadedModel<F: Format> {
    pub model: DeviceModel<F>,
    pub kernels: Kernels,
}

struct Engine<F: Format> {
    pool: Mutex<Pool<F>>,
    /// Notified when a context becomes idle or is dropped.
    released: Condvar,
    loaded: Arc<LoadedModel<F>>,
    context: Arc<CudaContext>,
}

struct Pool<F: Format> {
    idle: Vec<ExecutionContext<F>>,
    /// Number of contexts, idle or in use.
    created: usize,
    /// Maximum number of contexts.
    limit: usize,
}

impl<F: Format> Forward for Engine<F> {
    fn config(&self) -> &Config {
        &self.loaded.model.config
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        let mut lease = self.acquire()?;
        let labels = self.loaded.model.head.outputs;
        for rows in batch.parts(max_tokens(self.config()), MAX_SEQUENCES) {
            let logits = &mut logits[rows.start * labels..rows.end * labels];
            lease.context.forward(batch, rows, logits)?;
        }
        lease.release();
        Ok(())
    }
}

/// Context in use by a call. If it is dropped without being released, after an error or a panic, it is not
/// used again, since its stream may be unusable.
struct Lease<'e, F: Format> {
    context: ExecutionContext<F>,
    slot: Slot<'e, F>,
}

impl<F: Format> Lease<'_, F> {
    /// Returns the context to the pool.
    fn release(self) {
        let Self { context, slot } = self;
        slot.engine.pool().idle.push(context);
        slot.engine.released.notify_one();
        mem::forget(slot);
    }
}

/// Right to one of the pool's contexts; makes room for another one when it is dropped.
struct Slot<'e, F: Format> {
    engine: &'e Engine<F>,
}

impl<F: Format> Drop for Slot<'_, F> {
    fn drop(&mut self) {
        self.engine.pool().created -= 1;
        self.engine.released.notify_one();
    }
}

impl<F: Format> Engine<F> {
    /// Takes an idle context, creates one, or waits for the next one to be released.
    fn acquire(&self) -> Result<Lease<'_, F>> {
        let mut pool = self.pool();
        loop {
            if let Some(context) = pool.idle.pop() {
                return Ok(Lease { context, slot: Slot { engine: self } });
            }
            if pool.created >= pool.limit {
                pool = self.released.wait(pool).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            pool.created += 1;
            drop(pool);
            let slot = Slot { engine: self };
            match ExecutionContext::new(&self.context, Arc::clone(&self.loaded)) {
                Ok(context) => return Ok(Lease { context, slot }),
                Err(error) => {
                    drop(slot);
                    pool = self.pool();
                    // If memory is short, callers share the contexts that there are.
                    if pool.created == 0
                        || !matches!(error, Error::Device(DeviceError::CudaMemory { .. }))
                    {
                        return Err(error);
                    }
                    pool.limit = pool.created;
                }
            }
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool<F>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
