//! A model for an instruction set and a precision.

use half::f16;

use crate::backend::Forward;
use crate::cpu::backward::Differentiable;
use crate::cpu::forward::Engine;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::{InstructionSet, Isa, Kernel};
use crate::error::Result;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::precision::Precision;

/// Loads a model for an instruction set that [`InstructionSet::choose`] has returned.
pub(crate) fn load(
    config: Config,
    checkpoint: &Checkpoint,
    set: InstructionSet,
    precision: Precision,
    threads: Threads,
) -> Result<Box<dyn Forward>> {
    struct Load<'a>(Config, &'a Checkpoint, Precision, Threads);
    impl Kernel for Load<'_> {
        type Output = Result<Box<dyn Forward>>;

        fn run<I: Isa>(self, isa: I) -> Self::Output {
            let Self(config, checkpoint, precision, threads) = self;
            Ok(match precision {
                Precision::F32 => {
                    Box::new(Differentiable::<I, f32>::load(isa, config, checkpoint, threads)?)
                }
                Precision::F16 => {
                    Box::new(Differentiable::<I, f16>::load(isa, config, checkpoint, threads)?)
                }
                Precision::Int8 => {
                    Box::new(Engine::<I, i8>::load(isa, config, checkpoint, threads)?)
                }
            })
        }
    }
    set.run(Load(config, checkpoint, precision, threads)).unwrap_or_else(|| Err(set.missing()))
}
