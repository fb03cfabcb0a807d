//! A checkpoint's weights in 32 or 16 bits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::f16;
use safetensors::Dtype;

use super::folder::Tensor;
use crate::error::Result;
use crate::model::checkpoint::{Checkpoint, ENCODER_PREFIX, ValueKind};
use crate::model::matrix::{Matrix, Values};
use crate::model::weights::bad_weight;
use crate::precision::Precision;

/// The weights and biases of a checkpoint as floats, by their names in a classification checkpoint.
pub(super) fn float_tensors(
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
    let in_halves = match dtype {
        Some(dtype) => dtype == Precision::F16,
        None => checkpoint.kind(name) == Some(&ValueKind::F16),
    };
    let (dtype, bytes) = match values {
        Values::F32(bytes) if !in_halves => (Dtype::F32, Cow::Borrowed(bytes)),
        Values::F16(bytes) if in_halves => (Dtype::F16, Cow::Borrowed(bytes)),
        Values::Bf16(bytes) if dtype.is_none() => (Dtype::BF16, Cow::Borrowed(bytes)),
        values => {
            let len = shape.iter().product::<usize>() / rows.max(1);
            let matrix = Matrix { outputs: rows, inputs: len, parts: vec![values] };
            if in_halves {
                (Dtype::F16, Cow::Owned(halves(&matrix, name)?))
            } else {
                (Dtype::F32, Cow::Owned(floats(&matrix, name)?))
            }
        }
    };
    Ok(Tensor { dtype, shape, bytes })
}

fn floats(matrix: &Matrix<'_>, name: &str) -> Result<Vec<u8>> {
    let (mut row, mut bytes) = (vec![0.0; matrix.inputs], Vec::new());
    for index in 0..matrix.outputs {
        let read = matrix.read_row(index, &mut row);
        read.map_err(|bad| bad_weight(name.to_owned(), bad))?;
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
}

fn halves(matrix: &Matrix<'_>, name: &str) -> Result<Vec<u8>> {
    let (mut wide, mut row) = (vec![0.0; matrix.inputs], vec![f16::ZERO; matrix.inputs]);
    let mut bytes = Vec::new();
    for index in 0..matrix.outputs {
        let read = matrix.read_halves(index, &mut wide, &mut row);
        read.map_err(|bad| bad_weight(name.to_owned(), bad))?;
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
}
