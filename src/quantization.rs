//! Matrices in 8 bits: symmetric, with one scale for each row.

use crate::model::matrix::{BadWeight, Matrix};

/// The largest weight of a linear layer: 7 bits, so that two products with 8-bit inputs add up in 16
/// bits on every processor, without saturation. Over GoEmotions the labels then agree with `f32` as
/// often as with 8-bit weights and symmetric inputs.
pub(crate) const LARGEST_WEIGHT: i8 = 63;

/// The largest value of an embedding, which is never multiplied in 8 bits.
pub(crate) const LARGEST_EMBEDDING: i8 = 127;

/// Rounds a row of finite values to integers between `−largest` and `largest`, of which the largest
/// value becomes one end. Gives the scale: value `i` is `to[i] · scale`.
pub(crate) fn quantise_row(values: &[f32], largest: i8, to: &mut [i8]) -> f32 {
    let largest = f32::from(largest);
    let extent = values.iter().fold(0f32, |extent, value| extent.max(value.abs()));
    let scale = step(extent, largest);
    let inverse = inverse(scale);
    for (to, value) in to.iter_mut().zip(values) {
        // To the nearest integer, halves to even, without a call on machines before SSE 4.1.
        let rounded = (value * inverse + NO_FRACTION) - NO_FRACTION;
        *to = rounded.clamp(-largest, largest) as i8;
    }
    scale
}

/// Reads a row in 8 bits between `−largest` and `largest`, as it is stored or rounded; `floats` has room for
/// it. Gives the scale.
pub(crate) fn read_row(
    matrix: &Matrix<'_>,
    row: usize,
    largest: i8,
    floats: &mut [f32],
    to: &mut [i8],
) -> Result<f32, BadWeight> {
    let Some((bytes, scale)) = matrix.int8_row(row) else {
        matrix.read_row(row, floats)?;
        return Ok(quantise_row(floats, largest, to));
    };
    for (to, &byte) in to.iter_mut().zip(bytes) {
        *to = byte as i8;
    }
    let too_large = |value: &i8| value.unsigned_abs() > largest.unsigned_abs();
    if to.iter().fold(false, |any, value| any | too_large(value)) {
        let column = to.iter().position(too_large).unwrap_or(0);
        let index = row * matrix.inputs + column;
        return Err(BadWeight { index, found: to[column].into() });
    }
    Ok(scale)
}

/// Adding 1.5 · 2^23 leaves a small number no bits after the point.
const NO_FRACTION: f32 = 12_582_912.0;

/// The distance of neighbours when `extent` is cut into `count` steps. It is zero where it would be
/// too small to divide by.
pub(crate) fn step(extent: f32, count: f32) -> f32 {
    let step = extent / count;
    if step >= f32::MIN_POSITIVE { step } else { 0.0 }
}

/// What to multiply by instead of dividing by a step; zero for a step of zero, for all values of such
/// a row become zero.
pub(crate) fn inverse(step: f32) -> f32 {
    if step > 0.0 { 1.0 / step } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn every_value_is_within_half_a_step() {
        let rows =
            (1..50).map(|len| random(len as u64, len)).chain([vec![0.0; 17], vec![1e-44; 17]]);
        for row in rows {
            for largest in [LARGEST_WEIGHT, LARGEST_EMBEDDING] {
                let mut quantised = vec![9; row.len()];
                let scale = quantise_row(&row, largest, &mut quantised);
                for (&value, quantised) in row.iter().zip(quantised) {
                    assert!(quantised.abs() <= largest);
                    let back = f32::from(quantised) * scale;
                    assert!(
                        (value - back).abs() <= 0.5001 * scale + 1e-44,
                        "{value} became {back}"
                    );
                }
            }
        }
    }
}
