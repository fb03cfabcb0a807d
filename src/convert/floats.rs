//! Conversion of a checkpoint's weights to 32 or 16 bits.

use std::collections::BTreeMap;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype as StoredDtype;

use super::folder::{Content, Tensor};
use crate::error::Result;
use crate::model::checkpoint::{Checkpoint, Dtype, ENCODER_PREFIX};
use crate::model::matrix::{Data, Matrix, RowReader, Values};
use crate::precision::Precision;

/// Returns the weights and biases of a checkpoint as floats, by their names in a classification checkpoint.
/// Without a `dtype` each tensor keeps its type.
pub(crate) fn float_tensors(
    checkpoint: &Checkpoint,
    dtype: Option<Precision>,
) -> Result<BTreeMap<String, Tensor<'_>>> {
    let tensor = |name: &str| {
        let full_name = match name.starts_with("embeddings.") || name.starts_with("transformer.") {
            true => format!("{ENCODER_PREFIX}{name}"),
            false => name.to_owned(),
        };
        Ok((full_name, float_tensor(checkpoint, name, dtype)?))
    };
    checkpoint.weights_and_biases().map(tensor).collect()
}

fn float_tensor<'a>(
    checkpoint: &'a Checkpoint,
    name: &str,
    dtype: Option<Precision>,
) -> Result<Tensor<'a>> {
    let shape = checkpoint.shape(name).unwrap_or_default().to_vec();
    let (rows, values) = match *shape {
        [rows, len] => (rows, checkpoint.matrix(name, rows, len)?),
        _ => (1, checkpoint.floats(name, &shape)?),
    };
    let dtype = match (dtype, checkpoint.dtype(name)) {
        (Some(Precision::F16), _) | (None, Some(Dtype::F16)) => StoredDtype::F16,
        (Some(Precision::Bf16), _) | (None, Some(Dtype::Bf16)) => StoredDtype::BF16,
        _ => StoredDtype::F32,
    };
    let copied = |region| Content::Stored { name: name.to_owned(), region };
    let content = match (values.data, dtype) {
        (Data::F32(region), StoredDtype::F32)
        | (Data::F16(region), StoredDtype::F16)
        | (Data::Bf16(region), StoredDtype::BF16) => copied(region),
        (data, _) => {
            let len = shape.iter().product::<usize>() / rows.max(1);
            let matrix = Matrix::stack(rows, len, vec![Values { data, ..values }]);
            Content::Bytes(match dtype {
                StoredDtype::F16 => halves(&matrix)?,
                StoredDtype::BF16 => short_floats(&matrix)?,
                _ => floats(&matrix)?,
            })
        }
    };
    Ok(Tensor { dtype, shape, content })
}

fn floats(matrix: &Matrix<'_>) -> Result<Vec<u8>> {
    let read = |reader: &mut RowReader<'_>, index, _: &mut [f32], row: &mut [f32]| {
        reader.read_row(index, row)
    };
    rows_as_bytes(matrix, 0.0, read, f32::to_le_bytes)
}

fn halves(matrix: &Matrix<'_>) -> Result<Vec<u8>> {
    let read = |reader: &mut RowReader<'_>, index, floats: &mut [f32], row: &mut [f16]| {
        reader.read_halves(index, floats, row)
    };
    rows_as_bytes(matrix, f16::ZERO, read, f16::to_le_bytes)
}

fn short_floats(matrix: &Matrix<'_>) -> Result<Vec<u8>> {
    let read = |reader: &mut RowReader<'_>, index, floats: &mut [f32], row: &mut [bf16]| {
        reader.read_row(index, floats)?;
        row.convert_from_f32_slice(floats);
        match row.iter().position(|value| value.is_infinite()) {
            None => Ok(()),
            Some(column) => Err(matrix.bad_value(index, column, floats[column])),
        }
    };
    rows_as_bytes(matrix, bf16::ZERO, read, bf16::to_le_bytes)
}

/// Reads all rows with `read`, which is given scratch of a row's length, and returns the bytes of their values.
fn rows_as_bytes<T: Copy, const SIZE: usize>(
    matrix: &Matrix<'_>,
    zero: T,
    read: impl Fn(&mut RowReader<'_>, usize, &mut [f32], &mut [T]) -> Result<()>,
    to_bytes: impl Fn(T) -> [u8; SIZE],
) -> Result<Vec<u8>> {
    let (mut floats, mut row) = (vec![0.0; matrix.inputs], vec![zero; matrix.inputs]);
    let mut bytes = Vec::new();
    let mut reader = matrix.reader(0..matrix.outputs);
    for index in 0..matrix.outputs {
        read(&mut reader, index, &mut floats, &mut row)?;
        bytes.extend(row.iter().flat_map(|&value| to_bytes(value)));
    }
    Ok(bytes)
}
