//! Quantization of a checkpoint's weights to 8 bits.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::folder::{Content, Tensor};
use crate::error::Result;
use crate::model::checkpoint::{Checkpoint, SCALE_SUFFIX};
use crate::model::matrix::Matrix;
use crate::quantization::{LARGEST_EMBEDDING, LARGEST_WEIGHT, quantize_row};

/// Returns the weights and biases of a checkpoint, with matrices and tables as integers and scales.
pub(super) fn int8_tensors(checkpoint: &Checkpoint) -> Result<BTreeMap<String, Tensor<'_>>> {
    let mut tensors = BTreeMap::new();
    for name in checkpoint.weights_and_biases() {
        let shape = checkpoint.shape(name).unwrap_or_default().to_vec();
        let [rows, columns] = *shape else {
            let values = checkpoint.tensor(name, &shape)?;
            tensors.insert(name.to_owned(), float_tensor(shape, &values));
            continue;
        };
        let largest = if name.contains("embeddings.") { LARGEST_EMBEDDING } else { LARGEST_WEIGHT };
        let values = checkpoint.matrix(name, rows, columns)?;
        let (bytes, scales) = int8_rows(&Matrix::stack(rows, columns, vec![values]), largest)?;
        tensors.insert(format!("{name}{SCALE_SUFFIX}"), float_tensor(vec![rows], &scales));
        let content = Content::Bytes(bytes);
        tensors.insert(name.to_owned(), Tensor { dtype: Dtype::I8, shape, content });
    }
    Ok(tensors)
}

/// Quantizes the rows of a matrix and returns the integers' bytes and the scales.
fn int8_rows(matrix: &Matrix<'_>, largest: i8) -> Result<(Vec<u8>, Vec<f32>)> {
    let (mut floats, mut integers) = (vec![0.0; matrix.inputs], vec![0; matrix.inputs]);
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    let mut reader = matrix.reader(0..matrix.outputs);
    for row in 0..matrix.outputs {
        if let Some((row, scale)) = reader.int8_row(row)? {
            bytes.extend(row);
            scales.push(scale);
        } else {
            reader.read_row(row, &mut floats)?;
            scales.push(quantize_row(&floats, largest, &mut integers));
            bytes.extend(integers.iter().map(|&value| value as u8));
        }
    }
    Ok((bytes, scales))
}

fn float_tensor(shape: Vec<usize>, values: &[f32]) -> Tensor<'static> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { dtype: Dtype::F32, shape, content: Content::Bytes(bytes) }
}
