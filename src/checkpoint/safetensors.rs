//! One memory-mapped `.safetensors` file.

use std::fs::File;
use std::path::{Path, PathBuf};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};

use super::SCALE_SUFFIX;
use crate::error::{Error, Result};

/// Halves are widened in blocks of this many, so that the copy in between stays in L1.
const WIDEN_BLOCK: usize = 2048;

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

    pub fn is_int8(&self, name: &str) -> bool {
        self.metadata.info(name).is_some_and(|info| info.dtype == Dtype::I8)
    }

    /// The values of an `I8` tensor.
    pub fn int8_tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<i8>> {
        let (_, bytes) = self.find(name, shape)?;
        Ok(bytes.iter().map(|&byte| byte as i8).collect())
    }

    /// The tensor's values, widened to `f32`; the caller has seen the name in [`names`](Self::names).
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (info, bytes) = self.find(name, shape)?;
        let values = match info.dtype {
            Dtype::F32 => {
                bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
            }
            Dtype::F16 => {
                widen(bytes, f16::from_le_bytes, |half, wide| half.convert_to_f32_slice(wide))
            }
            Dtype::BF16 => {
                widen(bytes, bf16::from_le_bytes, |half, wide| half.convert_to_f32_slice(wide))
            }
            other => {
                return Err(Error::TensorDtype {
                    name: name.to_owned(),
                    found: format!("{other:?}"),
                });
            }
        };
        check_finite(name, &values)?;
        Ok(values)
    }

    /// A tensor of this shape, and its bytes.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(&TensorInfo, &[u8])> {
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
        Ok((info, self.bytes_of(info)?))
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

/// Widens little-endian halves a block at a time with the crate's vectorised conversion.
fn widen<H: Copy + Default>(
    bytes: &[u8],
    from_le_bytes: fn([u8; 2]) -> H,
    convert: impl Fn(&[H], &mut [f32]),
) -> Vec<f32> {
    let halves = bytes.as_chunks().0;
    let mut values = vec![0.0; halves.len()];
    let mut block = [H::default(); WIDEN_BLOCK];
    for (halves, wide) in halves.chunks(WIDEN_BLOCK).zip(values.chunks_mut(WIDEN_BLOCK)) {
        let block = &mut block[..halves.len()];
        for (half, &bytes) in block.iter_mut().zip(halves) {
            *half = from_le_bytes(bytes);
        }
        convert(block, wide);
    }
    values
}

fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { name: name.to_owned(), index, found: values[index] }),
    }
}
