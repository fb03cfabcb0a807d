//! One memory-mapped weight file, and where in it each tensor lies.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use super::{SCALE_SUFFIX, safetensors};
use crate::error::{Error, Result};

pub(super) struct WeightFile {
    map: Mmap,
    tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor as a weight file has it.
#[derive(Debug)]
pub(super) struct StoredTensor {
    pub kind: ValueKind,
    /// As PyTorch has it, however it is stored.
    pub shape: Vec<usize>,
    /// A matrix whose columns are stored as rows.
    pub transposed: bool,
    /// Where its little-endian values are in the file.
    pub bytes: Range<usize>,
}

/// The type of stored values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    F32,
    F16,
    Bf16,
    Int8,
    /// One that weights cannot have.
    Other(String),
}

impl fmt::Display for ValueKind {
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
    /// Maps a `.safetensors` file and checks that its header describes exactly the bytes that follow it.
    pub fn safetensors(path: &Path) -> Result<Self> {
        Self::open(path, |_, map| safetensors::tensors(map))
    }

    /// Maps a file that Keras has written in HDF5.
    #[cfg(feature = "tensorflow")]
    pub fn hdf5(path: &Path) -> Result<Self> {
        Self::open(path, |file, _| super::hdf5::tensors(file))
    }

    /// Maps a file and lets `read` tell its tensors, or what is wrong with it.
    fn open(
        path: &Path,
        read: impl FnOnce(&File, &[u8]) -> Result<BTreeMap<String, StoredTensor>, String>,
    ) -> Result<Self> {
        let io_error = |source| Error::Io { path: path.to_owned(), source };
        let damaged = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
        let file = File::open(path).map_err(io_error)?;
        if !file.metadata().map_err(io_error)?.is_file() {
            return Err(damaged("it is not a file".to_owned()));
        }
        // SAFETY: the map is read-only and private to this value. Its bytes stay the same as long as
        // nobody writes to the file while a model is being loaded, which no program can rule out and
        // which the documentation of `Classifier::builder` asks of the caller.
        let map = unsafe { Mmap::map(&file) }.map_err(io_error)?;
        let tensors = read(&file, &map).map_err(damaged)?;
        for (name, tensor) in &tensors {
            if map.get(tensor.bytes.clone()).is_none() {
                let Range { start, end } = tensor.bytes;
                return Err(damaged(format!(
                    "tensor `{name}` lies at bytes {start} to {end}, but the file has {}",
                    map.len()
                )));
            }
        }
        Ok(Self { map, tensors })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn kinds(&self) -> impl Iterator<Item = String> {
        self.tensors.values().map(|tensor| tensor.kind.to_string())
    }

    pub fn parameters(&self) -> usize {
        let weights = self.tensors.iter().filter(|(name, _)| !name.ends_with(SCALE_SUFFIX));
        weights.map(|(_, tensor)| tensor.shape.iter().product::<usize>()).sum()
    }

    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    pub fn stored(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// A tensor and its values; the caller has seen the name in [`names`](Self::names).
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<(&StoredTensor, &[u8])> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(Error::MissingTensor { name: name.to_owned(), expected: shape.to_owned() });
        };
        if tensor.shape != shape {
            return Err(Error::TensorShape {
                name: name.to_owned(),
                expected: shape.to_owned(),
                found: tensor.shape.clone(),
            });
        }
        Ok((tensor, &self.map[tensor.bytes.clone()]))
    }

    /// Lets the system take back the memory of what has been read so far. Reading it again is possible.
    pub fn release(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the map is of a file and is never written to, so what is dropped is read from the
            // file again, with the same bytes (see `open`).
            let released = unsafe { self.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            // A system that refuses keeps the memory until the map goes.
            let _ = released;
        }
    }
}
