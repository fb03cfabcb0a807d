//! Softmax over one row of attention scores, without the division.

use crate::cpu::ops::math::exp;
use crate::cpu::simd::Isa;

/// Replaces the first `len` values of a row with `exp(scale · (row[i] − max))`, and the rest, up to a multiple of
/// `LANES`, with zero. Returns one over their sum, which the caller multiplies by after it has used the row, when there
/// are fewer values to multiply.
#[inline(always)]
pub(crate) fn exponentials<I: Isa>(isa: I, row: &mut [f32], len: usize, scale: f32) -> f32 {
    let padded = len.next_multiple_of(I::LANES);
    let row = &mut row[..padded];
    row[len..].fill(f32::NEG_INFINITY);

    let mut largest = isa.splat(f32::NEG_INFINITY);
    for chunk in row.chunks_exact(I::LANES) {
        largest = isa.max(largest, isa.load(chunk));
    }
    let largest = isa.splat(isa.largest(largest));

    let scale = isa.splat(scale);
    let mut sum = isa.splat(0.0);
    for chunk in row.chunks_exact_mut(I::LANES) {
        let value = exp(isa, isa.mul(isa.sub(isa.load(chunk), largest), scale));
        sum = isa.add(sum, value);
        isa.store(value, chunk);
    }
    1.0 / isa.sum(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{Kernel, on_every_set};
    use crate::testing::{assert_all_close, random, sizes};

    #[derive(Clone)]
    struct Softmax {
        row: Vec<f32>,
        len: usize,
        scale: f32,
    }

    impl Kernel for Softmax {
        type Output = Vec<f32>;

        #[inline(always)]
        fn eval<I: Isa>(mut self, isa: I) -> Vec<f32> {
            let share = exponentials(isa, &mut self.row, self.len, self.scale);
            self.row.iter().map(|value| value * share).collect()
        }
    }

    #[test]
    fn rows_of_every_length_match_float64() {
        for len in sizes((1..=33).chain([127, 128, 129, 512]), (1..=33).chain([129])) {
            for (scale, spread) in [(0.125, 40.0), (1.0, 1.0), (0.25, 4000.0)] {
                let scores: Vec<f32> = random(len as u64, len).iter().map(|x| x * spread).collect();
                let mut row = scores.clone();
                row.resize(len.next_multiple_of(16), f32::NAN);
                let largest = scores.iter().copied().fold(f32::MIN, f32::max);
                let weights: Vec<f64> = scores
                    .iter()
                    .map(|&score| {
                        (f64::from(scale) * (f64::from(score) - f64::from(largest))).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                let expected: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
                on_every_set(Softmax { row, len, scale }, |_, found| {
                    assert_all_close(
                        &found[..len],
                        &expected,
                        2e-5 * f64::from(scale * spread).max(0.01),
                    );
                });
            }
        }
    }
}
