//! [`ModelInfo`]: properties of a loaded model.

use std::path::PathBuf;

use crate::InstructionSet;
use crate::device::Device;
use crate::precision::Precision;

/// Properties of a loaded model and of the backend that runs it, from
/// [`Classifier::info`](crate::Classifier::info).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ModelInfo {
    /// Model folder; empty for a model from memory.
    #[cfg_attr(feature = "serde", serde(serialize_with = "lossy"))]
    pub folder: PathBuf,
    /// Number formats in which the checkpoint stores its weights, such as `F16`.
    pub dtypes: Vec<String>,
    /// Number of weights.
    pub parameters: usize,
    /// Size of the weight files in bytes.
    pub checkpoint_bytes: usize,
    /// Device that runs the model; never [`Device::Auto`].
    pub device: Device,
    /// Instruction set used on the CPU.
    pub instruction_set: InstructionSet,
    /// Number format of the weights and of the matrix products.
    pub precision: Precision,
    /// Number of threads that share the work of one call; 1 on a GPU. The caller's thread is one of them, unless the
    /// classifier has a [`thread_pool`](crate::ClassifierBuilder::thread_pool): then they are the pool's.
    pub threads: usize,
}

/// Serializes a path with invalid Unicode replaced, where serde would fail.
#[cfg(feature = "serde")]
fn lossy<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
