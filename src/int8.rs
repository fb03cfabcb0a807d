//! Matrices in 8 bits: symmetric, with one scale for each row.

/// The largest weight of a linear layer: 7 bits, so that two products with 8-bit inputs add up in 16
/// bits on every processor, without saturation. Over GoEmotions the labels then agree with `f32` as
/// often as with 8-bit weights and symmetric inputs.
pub(crate) const LARGEST_WEIGHT: i8 = 63;

/// The largest value of an embedding, which is never multiplied in 8 bits.
pub(crate) const LARGEST_EMBEDDING: i8 = 127;

/// Value `i` of row `r` is `values[r · len + i] · scales[r]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Int8Rows {
    pub values: Vec<i8>,
    pub scales: Vec<f32>,
}

impl Int8Rows {
    /// Rounds finite rows of `len` values to integers between `−largest` and `largest`, of which a
    /// row's largest value becomes one end.
    pub fn quantise(values: &[f32], len: usize, largest: i8) -> Self {
        let largest = f32::from(largest);
        let mut quantised = Self {
            values: Vec::with_capacity(values.len()),
            scales: Vec::with_capacity(values.len() / len),
        };
        for row in values.chunks_exact(len) {
            let extent = row.iter().fold(0f32, |extent, value| extent.max(value.abs()));
            let scale = step(extent, largest);
            let inverse = inverse(scale);
            let round = |&value: &f32| {
                // To the nearest integer, halves to even, without a call on machines before SSE 4.1.
                let rounded = (value * inverse + NO_FRACTION) - NO_FRACTION;
                rounded.clamp(-largest, largest) as i8
            };
            quantised.values.extend(row.iter().map(round));
            quantised.scales.push(scale);
        }
        quantised
    }

    pub fn to_floats(&self) -> Vec<f32> {
        let len = self.values.len() / self.scales.len();
        let mut floats = Vec::with_capacity(self.values.len());
        for (row, scale) in self.values.chunks_exact(len).zip(&self.scales) {
            floats.extend(row.iter().map(|&value| f32::from(value) * scale));
        }
        floats
    }
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
        for largest in [LARGEST_WEIGHT, LARGEST_EMBEDDING] {
            let mut values = random(1, 40 * 17);
            values[..17].fill(0.0);
            values[17..34].fill(1e-44);
            let quantised = Int8Rows::quantise(&values, 17, largest);
            assert!(quantised.values.iter().all(|value| value.abs() <= largest));
            let floats = quantised.to_floats();
            for ((row, found), scale) in
                values.chunks(17).zip(floats.chunks(17)).zip(&quantised.scales)
            {
                for (value, found) in row.iter().zip(found) {
                    assert!(
                        (value - found).abs() <= 0.5001 * scale + 1e-44,
                        "{value} became {found}"
                    );
                }
            }
        }
    }
}
