//! [`DeviceError`]: processors, threads and GPUs that cannot be used.

use crate::InstructionSet;
use crate::precision::Precision;

/// Errors from the processor, the threads or the GPU that runs a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The requested instruction set is unknown or not supported by the CPU.
    #[error("instruction set `{requested}` cannot be used: {reason}")]
    InstructionSet {
        /// Name given to the builder or in `DISTILBERT_ISA`.
        requested: String,
        /// Reason, with the instruction sets that can be used.
        reason: String,
    },

    /// The CPU lacks the instructions for the requested precision.
    #[error(
        "this CPU cannot compute in {requested} with instruction set `{instruction_set}`: it needs avx512vnni with \
         AVX512-BF16, avx512amx with AMX-BF16, or i8mm with FEAT_BF16; f16 takes as little memory on any CPU"
    )]
    CpuPrecision {
        /// Requested precision.
        requested: Precision,
        /// Instruction set that was chosen.
        instruction_set: InstructionSet,
    },

    /// Threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Requested number of threads.
        threads: usize,
        /// Error reported by the operating system.
        reason: String,
    },

    /// A string could not be parsed as a device.
    #[error(
        "unknown device `{requested}`; expected one of cpu, cuda, cuda:N (N starts at 0), auto"
    )]
    UnknownDevice {
        /// Name as given.
        requested: String,
    },

    /// A GPU was requested, but the crate was built without the feature `cuda`.
    #[error("GPUs cannot be used: distilbert was built without the feature `cuda`")]
    CudaNotBuilt,

    /// No usable NVIDIA driver was found.
    #[error("no usable NVIDIA driver: {reason}")]
    CudaDriver {
        /// Reason, with what was expected and what was found.
        reason: String,
    },

    /// There is no GPU with this number.
    #[error(
        "no GPU {ordinal}: the driver reports {count} GPU{}, numbered from 0",
        if *count == 1 { "" } else { "s" }
    )]
    NoCudaDevice {
        /// Requested number.
        ordinal: usize,
        /// Number of GPUs.
        count: usize,
    },

    /// The GPU is too old for the kernels.
    #[error(
        "GPU {ordinal} ({name}) has compute capability {}.{}, but the kernels need {}.{} or newer",
        found.0, found.1, needed.0, needed.1
    )]
    CudaCapability {
        /// Number of the GPU.
        ordinal: usize,
        /// Name of the GPU.
        name: String,
        /// Compute capability of the GPU, major and minor.
        found: (u32, u32),
        /// Lowest compute capability that the kernels support.
        needed: (u32, u32),
    },

    /// The GPU has too little free memory.
    #[error("the GPU has {free} bytes of free memory, but {needed} are needed")]
    CudaMemory {
        /// Number of bytes to allocate.
        needed: usize,
        /// Number of free bytes.
        free: usize,
    },

    /// The CUDA kernels do not support the model's sizes.
    #[error("the CUDA kernels need `{field}` to be {expected}, but config.json gives {found}")]
    CudaModel {
        /// Field of `config.json`, or a quantity derived from it.
        field: &'static str,
        /// Description of supported values.
        expected: &'static str,
        /// The model's value.
        found: usize,
    },

    /// There are no CUDA kernels for the requested precision.
    #[error("GPUs compute in f16 or int8, not in {requested}")]
    CudaPrecision {
        /// Requested precision.
        requested: Precision,
    },

    /// A CUDA operation, or the check that precedes it, failed.
    #[error("CUDA error: failed to {operation}: {reason}")]
    Cuda {
        /// Operation that failed, such as `open the GPU`.
        operation: &'static str,
        /// Error reported by the driver, or the result of the check.
        reason: String,
    },
}

impl DeviceError {
    /// Returns `true` if the error is that a GPU or the CUDA backend cannot be used.
    pub(crate) fn is_gpu_error(&self) -> bool {
        matches!(
            self,
            Self::CudaNotBuilt
                | Self::CudaDriver { .. }
                | Self::NoCudaDevice { .. }
                | Self::CudaCapability { .. }
                | Self::CudaMemory { .. }
                | Self::CudaModel { .. }
                | Self::CudaPrecision { .. }
                | Self::Cuda { .. }
        )
    }
}
