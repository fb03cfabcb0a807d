//! The engine: a model on one GPU, and lanes for its callers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cudarc::driver::CudaContext;

use super::driver::{failed, open};
use super::kernels::Kernels;
use super::lane::{Lane, PART_ROWS, part_tokens};
use super::pass::kernel_names;
use super::weights::{DeviceModel, InBytes};
use crate::backend::Forward;
use crate::error::{Error, Result};
use crate::input::batch::TokenBatch;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::precision::Precision;

/// Callers that compute at once; more wait, since each lane has its memory.
const MOST_LANES: usize = 4;

/// Loads a model onto a GPU.
pub(crate) fn load(
    config: Config,
    checkpoint: &Checkpoint,
    ordinal: usize,
    precision: Precision,
) -> Result<Box<dyn Forward>> {
    let in_bytes = match precision {
        Precision::F16 => InBytes(false),
        Precision::Int8 => InBytes(true),
        Precision::F32 => return Err(Error::CudaPrecision { requested: precision }),
    };
    let context = open(ordinal)?;
    check(&config, in_bytes)?;
    let kernels = Kernels::load(&context, &kernel_names(&config, in_bytes))?;
    let stream = context.new_stream().map_err(failed("make a stream"))?;
    let (config, model) = DeviceModel::load(&stream, config, checkpoint, in_bytes)?;
    // Lanes read the weights on streams of their own.
    stream.synchronize().map_err(failed("receive weights"))?;
    let loaded = Loaded { config, model, kernels };
    // One at once: a GPU that has no memory for it should be found out here.
    let first = Lane::new(&context, &loaded)?;
    let lanes = Lanes { idle: vec![first], made: 1, most: MOST_LANES };
    Ok(Box::new(Engine { lanes: Mutex::new(lanes), freed: Condvar::new(), loaded, context }))
}

/// Checks that there are kernels for a model's shape.
fn check(config: &Config, in_bytes: InBytes) -> Result<()> {
    let need = |holds: bool, field, expected, found| match holds {
        true => Ok(()),
        false => Err(Error::CudaModel { field, expected, found }),
    };
    let Config { dim, hidden_dim, .. } = *config;
    let head = config.head_size();
    let dims = dim.is_multiple_of(64) && dim <= 2048;
    need(dims, "dim", "a multiple of 64, at most 2048", dim)?;
    need(hidden_dim.is_multiple_of(64), "hidden_dim", "a multiple of 64", hidden_dim)?;
    // The kernel that rounds rows to bytes holds them in registers.
    let rounded = !in_bytes.0 || hidden_dim <= 4096;
    need(rounded, "hidden_dim", "at most 4096 in int8", hidden_dim)?;
    need([16, 32, 64, 128].contains(&head), "dim / n_heads", "16, 32, 64 or 128", head)
}

/// What all lanes read.
pub struct Loaded {
    pub config: Config,
    pub model: DeviceModel,
    pub kernels: Kernels,
}

struct Engine {
    // The lanes go before what their graphs point to.
    lanes: Mutex<Lanes>,
    /// Told when a lane is idle again or gone.
    freed: Condvar,
    loaded: Loaded,
    context: Arc<CudaContext>,
}

struct Lanes {
    idle: Vec<Lane>,
    /// Idle or not.
    made: usize,
    most: usize,
}

impl Forward for Engine {
    fn config(&self) -> &Config {
        &self.loaded.config
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        let mut lane = self.take()?;
        let outputs = self.loaded.model.classifier.outputs;
        for rows in batch.parts(part_tokens(&self.loaded.config), PART_ROWS) {
            let logits = &mut logits[rows.start * outputs..rows.end * outputs];
            if let Err(error) = lane.run(&self.loaded, batch, rows, logits) {
                drop(lane);
                self.lanes().made -= 1;
                self.freed.notify_one();
                return Err(error);
            }
        }
        self.lanes().idle.push(lane);
        self.freed.notify_one();
        Ok(())
    }
}

impl Engine {
    /// An idle lane, or a new one, or the next that gets idle.
    fn take(&self) -> Result<Lane> {
        let mut lanes = self.lanes();
        loop {
            if let Some(lane) = lanes.idle.pop() {
                return Ok(lane);
            }
            if lanes.made < lanes.most {
                lanes.made += 1;
                drop(lanes);
                let lane = Lane::new(&self.context, &self.loaded);
                lanes = self.lanes();
                match lane {
                    Ok(lane) => return Ok(lane),
                    Err(error) => {
                        lanes.made -= 1;
                        // Where memory has room for no more, callers share the lanes that there are.
                        if lanes.made == 0 || !matches!(error, Error::CudaMemory { .. }) {
                            return Err(error);
                        }
                        lanes.most = lanes.made;
                    }
                }
            } else {
                lanes = self.freed.wait(lanes).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
