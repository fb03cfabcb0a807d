//! [`View`]: a tensor as a view of a storage.

use super::machine::damaged;
use super::refuse::Refusal;
use super::value::{Storage, Value};
use crate::model::checkpoint::weight_file::{Dtype, Layout, StoredTensor};

/// Tensor whose values are in a storage, which other tensors may share.
#[derive(Debug)]
pub(super) struct View {
    /// Index of the storage.
    pub storage: usize,
    /// Position of the first value in the storage.
    offset: u64,
    shape: Vec<u64>,
    /// Distance of neighbors in each dimension, in values.
    strides: Vec<u64>,
}

impl View {
    pub const MAX_DIMENSIONS: usize = 8;

    /// Checks the arguments of a tensor.
    pub fn new(
        storage: Value,
        offset: Value,
        shape: Vec<i64>,
        strides: Vec<i64>,
    ) -> Result<Self, Refusal> {
        let unsigned = |values: Vec<i64>| -> Result<Vec<u64>, Refusal> {
            values
                .into_iter()
                .map(|value| u64::try_from(value).map_err(|_| negative(value)))
                .collect()
        };
        match (storage, offset) {
            (Value::Storage(storage), Value::Int(offset)) if shape.len() == strides.len() => {
                let offset = u64::try_from(offset).map_err(|_| negative(offset))?;
                Ok(Self { storage, offset, shape: unsigned(shape)?, strides: unsigned(strides)? })
            }
            _ => Err(damaged(format!(
                "a tensor should have a storage, an offset, a shape and strides, found {storage:?}, {offset:?}, {shape:?} and {strides:?}"
            ))),
        }
    }

    /// Locates the tensor in a file whose storage begins at `start`.
    pub fn locate(&self, storage: &Storage<'_>, start: u64) -> Result<StoredTensor, Refusal> {
        let outside = || {
            damaged(format!(
                "a tensor of shape {:?}, strides {:?} and offset {} exceeds its storage of {} values",
                self.shape, self.strides, self.offset, storage.len
            ))
        };
        let span = self
            .span()
            .filter(|span| self.offset.checked_add(*span).is_some_and(|end| end <= storage.len));
        let span = span.ok_or_else(outside)?;
        let bytes = |values: u64| values.checked_mul(storage.size as u64).ok_or_else(outside);
        let offset = bytes(self.offset)?.checked_add(start).ok_or_else(outside)?;
        let len = usize::try_from(bytes(span)?).map_err(|_| outside())?;
        let (layout, dtype) = self.layout(storage)?;
        let shape = self.shape.iter().map(|&size| size as usize).collect();
        Ok(StoredTensor { dtype, shape, layout, offset, len })
    }

    /// Returns the number of values from the first to the last; 0 without values.
    fn span(&self) -> Option<u64> {
        let sizes = self.shape.iter().try_fold(1, |len: u64, &size| len.checked_mul(size))?;
        if sizes == 0 {
            return Some(0);
        }
        self.dimensions().try_fold(1, |span: u64, (size, stride)| {
            span.checked_add((size - 1).checked_mul(stride)?)
        })
    }

    /// Returns size and stride of each dimension of more than one value.
    fn dimensions(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + Clone {
        let all = self.shape.iter().copied().zip(self.strides.iter().copied());
        all.filter(|&(size, _)| size != 1)
    }

    fn layout(&self, storage: &Storage<'_>) -> Result<(Layout, Dtype), Refusal> {
        let dtype = match storage.dtype {
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::Bf16,
            other => Dtype::Other(other.to_owned()),
        };
        if self.shape.contains(&0) || is_dense(self.dimensions().rev()) {
            return Ok((Layout::RowMajor, dtype));
        }
        let mut by_stride: Vec<_> = self.dimensions().collect();
        by_stride.sort_by_key(|&(_, stride)| stride);
        // Neighbors along the next larger stride must be farther apart than the whole of the smaller ones is long.
        let mut span = 0;
        for &(size, stride) in &by_stride {
            if stride <= span {
                return Err(damaged(format!(
                    "the values of a tensor of shape {:?} and strides {:?} overlap",
                    self.shape, self.strides
                )));
            }
            span += (size - 1) * stride;
        }
        match (self.shape.as_slice(), self.strides.as_slice()) {
            (&[_, _], _) if is_dense(self.dimensions()) => Ok((Layout::Transposed, dtype)),
            (&[_, _], &[row, column]) => {
                Ok((Layout::Strided([row as usize, column as usize]), dtype))
            }
            (&[_], &[stride]) => Ok((Layout::Strided([0, stride as usize]), dtype)),
            // The model has no such tensors.
            _ => Ok((Layout::RowMajor, Dtype::Other(format!("{dtype} with strides")))),
        }
    }
}

/// Returns `true` if values follow one another without gaps, the first dimension varying fastest.
fn is_dense(mut dimensions: impl Iterator<Item = (u64, u64)>) -> bool {
    let mut expected = 1;
    dimensions.all(|(size, stride)| {
        let is_dense = stride == expected;
        expected *= size;
        is_dense
    })
}

fn negative(found: i64) -> Refusal {
    damaged(format!("a tensor's offset, shape and strides should not be negative, found {found}"))
}
