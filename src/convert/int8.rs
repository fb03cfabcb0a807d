//! A checkpoint's weights in 8 bits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use safetensors::Dtype;

use super::folder::Tensor;
use crate::error::Result;
use crate::model::checkpoint::{Checkpoint, SCALE_SUFFIX};
use crate::model::matrix::{BadWeight, Matrix};
use crate::model::weights::bad_weight;
use crate::quantization::{LARGEST_EMBEDDING, LARGEST_WEIGHT, quantise_row};

/// The weights and biases of a checkpoint, matrices and tables as integers and scales.
pub(super) fn int8_tensors(checkpoint: &Checkpoint) -> Result<BTreeMap<String, Tensor<'_>>> {
    let mut tensors = BTreeMap::new();
    for name in checkpoint.weights_and_biases() {
        let shape = checkpoint.shape(name).unwrap_or_default().to_vec();
        let [rows, columns] = *shape else {
            tensors.insert(
                name.to_owned(),
                float_tensor(shape.clone(), &checkpoint.tensor(name, &shape)?),
            );
            continue;
        };
        let largest = if name.contains("embeddings.") { LARGEST_EMBEDDING } else { LARGEST_WEIGHT };
        let matrix = Matrix {
            outputs: rows,
            inputs: columns,
            parts: vec![checkpoint.matrix(name, rows, columns)?],
        };
        let (bytes, scales) =
            int8_rows(&matrix, largest).map_err(|bad| bad_weight(name.to_owned(), bad))?;
        tensors.insert(format!("{name}{SCALE_SUFFIX}"), float_tensor(vec![rows], &scales));
        tensors
            .insert(name.to_owned(), Tensor { dtype: Dtype::I8, shape, bytes: Cow::Owned(bytes) });
    }
    Ok(tensors)
}

/// A matrix in 8 bits, and its rows' scales.
fn int8_rows(matrix: &Matrix<'_>, largest: i8) -> Result<(Vec<u8>, Vec<f32>), BadWeight> {
    let (mut floats, mut integers) = (vec![0.0; matrix.inputs], vec![0; matrix.inputs]);
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for row in 0..matrix.outputs {
        if let Some((row, scale)) = matrix.int8_row(row) {
            bytes.extend(row);
            scales.push(scale);
        } else {
            matrix.read_row(row, &mut floats)?;
            scales.push(quantise_row(&floats, largest, &mut integers));
            bytes.extend(integers.iter().map(|&value| value as u8));
        }
    }
    Ok((bytes, scales))
}

fn float_tensor(shape: Vec<usize>, values: &[f32]) -> Tensor<'static> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { dtype: Dtype::F32, shape, bytes }
}
