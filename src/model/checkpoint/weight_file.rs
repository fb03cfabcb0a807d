//! One weight file and the tensors that it stores.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::source::{Region, Source};
use super::{SCALE_SUFFIX, safetensors};
use crate::error::{CheckpointError, Result};

/// Open weight file and the tensors that it stores, by their PyTorch names.
pub(super) struct WeightFile {
    source: Arc<Source>,
    tensors: BTreeMap<String, StoredTensor>,
}

/// Type, shape and location of a tensor in a weight file.
#[derive(Debug)]
pub(super) struct StoredTensor {
    pub dtype: Dtype,
    /// Shape of the tensor in PyTorch, even if it is stored transposed.
    pub shape: Vec<usize>,
    /// `true` if the matrix is stored transposed.
    pub transposed: bool,
    /// Offset of the little-endian values in the file, in bytes.
    pub offset: u64,
    /// Length of the values in bytes.
    pub len: usize,
}

/// Type of stored values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    F16,
    Bf16,
    Int8,
    /// Unsupported type, by name.
    Other(String),
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Int8 => "I8",
            Self::Other(name) => name,
        })
    }
}

impl WeightFile {
    /// Opens a `.safetensors` file and checks that its header describes exactly the bytes that follow it.
    pub fn safetensors(path: &Path) -> Result<Self> {
        Self::open(path, |source| safetensors::tensors(source))
    }

    /// Opens an HDF5 file written by Keras.
    #[cfg(feature = "tensorflow")]
    pub fn hdf5(path: &Path) -> Result<Self> {
        Self::open(path, super::hdf5::tensors)
    }

    /// Opens a file whose tensors `read_tensors` locates.
    fn open(
        path: &Path,
        read_tensors: impl FnOnce(&Arc<Source>) -> Result<BTreeMap<String, StoredTensor>>,
    ) -> Result<Self> {
        let source = Arc::new(Source::open(path)?);
        let located = read_tensors(&source).and_then(|tensors| {
            tensors.iter().try_for_each(|(name, tensor)| check_range(&source, name, tensor))?;
            Ok(tensors)
        });
        match located {
            Ok(tensors) => Ok(Self { source, tensors }),
            // A file that is still being written looks damaged.
            Err(error) => Err(source.check_unchanged().err().unwrap_or(error)),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn dtypes(&self) -> impl Iterator<Item = String> {
        self.tensors.values().map(|tensor| tensor.dtype.to_string())
    }

    /// Returns the number of weights; scales of 8-bit matrices don't count.
    pub fn parameters(&self) -> usize {
        let weights = self.tensors.iter().filter(|(name, _)| !name.ends_with(SCALE_SUFFIX));
        let sizes = weights.map(|(_, tensor)| tensor.shape.iter().product::<usize>());
        sizes.fold(0, usize::saturating_add)
    }

    /// Returns the length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.source.len()
    }

    pub fn stored(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// Returns a tensor and the region of its values.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`] or [`CheckpointError::TensorShape`].
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<(&StoredTensor, Region<'_>)> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(CheckpointError::MissingTensor {
                name: name.to_owned(),
                expected: shape.to_owned(),
            }
            .into());
        };
        if tensor.shape != shape {
            return Err(CheckpointError::TensorShape {
                name: name.to_owned(),
                expected: shape.to_owned(),
                found: tensor.shape.clone(),
            }
            .into());
        }
        Ok((tensor, Region { source: &self.source, offset: tensor.offset, len: tensor.len }))
    }

    /// Checks that the file has not changed since it was opened.
    ///
    /// # Errors
    /// [`CheckpointError::FileChanged`], or [`Error::Io`](crate::Error::Io).
    pub fn check_unchanged(&self) -> Result<()> {
        self.source.check_unchanged()
    }
}

/// Checks that a tensor lies within its file.
fn check_range(source: &Source, name: &str, tensor: &StoredTensor) -> Result<()> {
    let &StoredTensor { offset, len, .. } = tensor;
    let end = offset.checked_add(len as u64);
    if end.is_some_and(|end| end <= source.len()) {
        return Ok(());
    }
    Err(source.damaged(format!(
        "tensor `{name}` has {len} bytes at offset {offset}, but the file has {}",
        source.len()
    )))
}
