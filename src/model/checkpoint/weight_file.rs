//! One weight file and the tensors that it stores.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::source::{Region, Source};
use super::{SCALE_SUFFIX, names, pickle, safetensors};
use crate::error::{CheckpointError, Result};
use crate::model::files::ModelFiles;

/// Maximum number of tensors to which a byte of a file belongs on average, beyond [`SMALL`] bytes.
const MOST_SHARING: u64 = 4;

/// Number of bytes that a file's tensors may always take.
const SMALL: u64 = 16 << 20;

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
    pub layout: Layout,
    /// Offset of the little-endian values in the file, in bytes.
    pub offset: u64,
    /// Length of the values in bytes, with the gaps between them.
    pub len: usize,
}

/// Order of a tensor's values in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    RowMajor,
    /// Transpose of a row-major matrix.
    Transposed,
    /// Matrix or vector with gaps between its values: distances of neighbors in each dimension, in values. A vector
    /// is a matrix of one row.
    Strided([usize; 2]),
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
    pub fn safetensors(files: &ModelFiles, name: &str) -> Result<Self> {
        Self::open(files, name, |source| safetensors::tensors(source))
    }

    /// Opens a `.bin` file written by `torch.save`. Nothing in it is run.
    pub fn pickle(files: &ModelFiles, name: &str) -> Result<Self> {
        Self::open(files, name, |source| pickle::tensors(source))
    }

    /// Opens an HDF5 file written by Keras.
    #[cfg(feature = "tensorflow")]
    pub fn hdf5(files: &ModelFiles, name: &str) -> Result<Self> {
        Self::open(files, name, super::hdf5::tensors)
    }

    /// Opens a file whose tensors `read_tensors` locates.
    fn open(
        files: &ModelFiles,
        name: &str,
        read_tensors: impl FnOnce(&Arc<Source>) -> Result<BTreeMap<String, StoredTensor>>,
    ) -> Result<Self> {
        let source = Arc::new(files.open(name)?);
        let located = read_tensors(&source).and_then(|tensors| {
            tensors.iter().try_for_each(|(name, tensor)| check_range(&source, name, tensor))?;
            check_sharing(&source, tensors.values())?;
            Ok(names::with_current_names(tensors))
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
        let weights = self
            .tensors
            .iter()
            .filter(|(name, _)| names::is_parameter(name) || name.ends_with(SCALE_SUFFIX));
        weights.map(|(_, tensor)| tensor.dtype.to_string())
    }

    /// Returns the number of weights; buffers and scales of 8-bit matrices don't count.
    pub fn parameters(&self) -> usize {
        let weights = self.tensors.iter().filter(|(name, _)| names::is_parameter(name));
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

/// Checks that tensors do not share so many bytes that a small file takes much memory. Models share only a few tensors,
/// such as the embeddings and the output layer of a masked language model.
fn check_sharing<'a>(
    source: &Source,
    tensors: impl Iterator<Item = &'a StoredTensor>,
) -> Result<()> {
    let total = tensors.fold(0, |total: u64, tensor| total.saturating_add(tensor.len as u64));
    let limit = source.len().saturating_mul(MOST_SHARING).saturating_add(SMALL);
    if total <= limit {
        return Ok(());
    }
    Err(source
        .damaged(format!("its tensors overlap: they take {total} bytes, expected at most {limit}")))
}
