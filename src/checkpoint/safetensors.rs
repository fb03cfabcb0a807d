//! One memory-mapped `.safetensors` file.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};

use super::SCALE_SUFFIX;
use crate::error::{Error, Result};

pub(super) struct SafetensorsFile {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// Where the tensors' bytes begin in the file.
    data_start: usize,
}

impl SafetensorsFile {
    /// Maps the file and checks that its header describes exactly the bytes that follow it.
    pub fn open(path: &Path) -> Result<Self> {
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
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { path: path.to_owned(), data_start: size_of::<u64>() + header, map, metadata })
    }

    pub fn names(&self) -> impl Iterator<Item = String> {
        self.metadata.tensors().into_keys()
    }

    pub fn dtypes(&self) -> Vec<String> {
        self.metadata.tensors().values().map(|info| format!("{:?}", info.dtype)).collect()
    }

    pub fn parameters(&self) -> usize {
        let tensors = self.metadata.tensors();
        let weights = tensors.iter().filter(|(name, _)| !name.ends_with(SCALE_SUFFIX));
        weights.map(|(_, info)| info.shape.iter().product::<usize>()).sum()
    }

    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// The tensor's dtype, if there is such a tensor.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.metadata.info(name).map(|info| info.dtype)
    }

    /// A tensor's type and little-endian bytes; the caller has seen the name in
    /// [`names`](Self::names).
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<(Dtype, &[u8])> {
        let Some(info) = self.metadata.info(name) else {
            return Err(Error::MissingTensor { name: name.to_owned(), expected: shape.to_owned() });
        };
        if info.shape != shape {
            return Err(Error::TensorShape {
                name: name.to_owned(),
                expected: shape.to_owned(),
                found: info.shape.clone(),
            });
        }
        Ok((info.dtype, self.bytes_of(info)?))
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

    fn bytes_of(&self, info: &TensorInfo) -> Result<&[u8]> {
        let (start, end) = info.data_offsets;
        self.map.get(self.data_start..).and_then(|data| data.get(start..end)).ok_or_else(|| {
            Error::Checkpoint {
                path: self.path.clone(),
                reason: format!(
                    "a tensor lies at bytes {start} to {end}, past the end of the file"
                ),
            }
        })
    }
}
