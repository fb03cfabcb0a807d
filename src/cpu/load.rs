//! Loads a model for an instruction set and a precision.

use half::{bf16, f16};

use super::cascade::Cascade;
use super::forward::Engine;
use super::gemm::weight::FloatWeight;
use super::parallel::threads::Threads;
use super::simd::{InstructionSet, SelectedIsa};
use crate::backend::Forward;
use crate::error::{DeviceError, Result};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::precision::Precision;

/// Loads a model for an instruction set that [`InstructionSet::choose`] has returned.
///
/// # Errors
/// [`DeviceError::InstructionSet`] if this machine lacks the set, [`DeviceError::CpuPrecision`] if it cannot compute in
/// the precision, otherwise as for loading.
///
/// # Panics
/// For [`Precision::Auto`], which callers replace with the precision of their choice.
pub(crate) fn load(
    config: Config,
    checkpoint: &Checkpoint,
    set: InstructionSet,
    precision: Precision,
    threads: Threads,
) -> Result<Box<dyn Forward>> {
    let isa = set.detect().ok_or_else(|| set.missing())?;
    match precision {
        Precision::F32 => load_floats::<f32>(isa, config, checkpoint, threads),
        Precision::F16 => load_floats::<f16>(isa, config, checkpoint, threads),
        Precision::Bf16 if !isa.has_bf16() => {
            Err(DeviceError::CpuPrecision { requested: precision, instruction_set: set }.into())
        }
        Precision::Bf16 => Ok(Box::new(Engine::<bf16>::load(isa, config, checkpoint, threads)?)),
        Precision::Int8 => Ok(Box::new(Engine::<i8>::load(isa, config, checkpoint, threads)?)),
        Precision::Cascade { margin } => {
            Ok(Box::new(Cascade::load(isa, config, checkpoint, margin, threads)?))
        }
        Precision::Auto => unreachable!("the caller has chosen a precision"),
    }
}

/// Loads a model with float weights, which has a backward pass.
fn load_floats<W: FloatWeight>(
    isa: SelectedIsa,
    config: Config,
    checkpoint: &Checkpoint,
    threads: Threads,
) -> Result<Box<dyn Forward>> {
    let engine = Engine::<W>::load(isa, config, checkpoint, threads)?;
    #[cfg(feature = "explain")]
    let engine = super::backward::Differentiable::new(engine);
    Ok(Box::new(engine))
}

// Loom and Miri run without the helpers of these tests.
#[cfg(all(test, not(any(loom, miri))))]
mod tests;
