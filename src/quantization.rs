//! Symmetric 8-bit quantization with one scale per row.

use crate::error::Result;
use crate::model::matrix::RowReader;

/// Largest quantized weight of a linear layer: 7 bits, so that the sum of two products with 8-bit inputs
/// fits in 16 bits on every processor, without saturation. On GoEmotions, labels agree with `f32` as
/// often as with 8-bit weights and symmetric inputs.
pub(crate) const LARGEST_WEIGHT: i8 = 63;

/// Largest quantized value of an embedding, which is never multiplied in 8 bits.
pub(crate) const LARGEST_EMBEDDING: i8 = 127;

/// Quantizes a row of finite values to integers from `−largest` to `largest`, and returns the scale:
/// value `i` is about `to[i] · scale`. The largest magnitude becomes `largest`.
pub(crate) fn quantize_row(values: &[f32], largest: i8, to: &mut [i8]) -> f32 {
    let largest = f32::from(largest);
    let extent = values.iter().fold(0f32, |extent, value| extent.max(value.abs()));
    let scale = step(extent, largest);
    let inverse = inverse(scale);
    for (to, value) in to.iter_mut().zip(values) {
        // Rounds to the nearest integer, ties to even, without a call on machines before SSE 4.1.
        let rounded = (value * inverse + NO_FRACTION) - NO_FRACTION;
        *to = rounded.clamp(-largest, largest) as i8;
    }
    scale
}

/// Reads a row as integers from `−largest` to `largest` and returns the scale. Values stored as integers are returned
/// unchanged, others are quantized; `floats` is scratch space for a row.
///
/// # Errors
/// [`CheckpointError::OutOfRange`](crate::CheckpointError::OutOfRange) if a stored integer exceeds `largest`; otherwise
/// the errors of [`RowReader::read_row`].
pub(crate) fn read_row(
    reader: &mut RowReader<'_>,
    row: usize,
    largest: i8,
    floats: &mut [f32],
    to: &mut [i8],
) -> Result<f32> {
    let Some((bytes, scale)) = reader.int8_row(row)? else {
        reader.read_row(row, floats)?;
        return Ok(quantize_row(floats, largest, to));
    };
    for (to, &byte) in to.iter_mut().zip(bytes) {
        *to = byte as i8;
    }
    let too_large = |value: &i8| value.unsigned_abs() > largest.unsigned_abs();
    if to.iter().fold(false, |any, value| any | too_large(value)) {
        let column = to.iter().position(too_large).unwrap_or(0);
        return Err(reader.matrix().bad_value(row, column, to[column].into()));
    }
    Ok(scale)
}

/// Addend (1.5 · 2^23) that leaves no bits for the fraction of a small number.
const NO_FRACTION: f32 = 12_582_912.0;

/// Returns the step size that divides `extent` into `count` steps, or zero if it would be too small to divide by.
pub(crate) fn step(extent: f32, count: f32) -> f32 {
    let step = extent / count;
    if step >= f32::MIN_POSITIVE { step } else { 0.0 }
}

/// Returns the reciprocal of a step, or zero for a step of zero, so that all values of such a row become zero.
pub(crate) fn inverse(step: f32) -> f32 {
    if step > 0.0 { 1.0 / step } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn quantizes_every_value_to_within_half_a_step() {
        let rows =
            (1..50).map(|len| random(len as u64, len)).chain([vec![0.0; 17], vec![1e-44; 17]]);
        for row in rows {
            for largest in [LARGEST_WEIGHT, LARGEST_EMBEDDING] {
                let mut quantized = vec![9; row.len()];
                let scale = quantize_row(&row, largest, &mut quantized);
                for (&value, quantized) in row.iter().zip(quantized) {
                    assert!(quantized.abs() <= largest);
                    let back = f32::from(quantized) * scale;
                    assert!(
                        (value - back).abs() <= 0.5001 * scale + 1e-44,
                        "{value} became {back}"
                    );
                }
            }
        }
    }
}
