//! Softmax of one query's scores, in 8 bits.

use super::pack::Keys;
use crate::cpu::simd::Isa;

/// Largest probability.
const LARGEST: f32 = u8::MAX as f32;

/// Exponent below which a probability rounds to zero: 255 · 2^−10 is less than a half.
const LOWEST: f32 = -10.0;

/// `255 · 2^f` for `f` from −½ to ½, relative error 1.1e-4: less than a thirtieth of a step. A minimax fit, of which
/// the constant is exact, so that the largest probability is 255.
const POWERS: [f32; 4] = [LARGEST, 176.787_16, 61.763_85, 14.027_256];

/// Scores of one query.
#[derive(Clone, Copy)]
pub(super) struct Scores<'a> {
    /// Sums of the products with every key, to the end of the last panel.
    pub sums: &'a [i32],
    /// Number of keys.
    pub len: usize,
    /// Factor that, with a key's scale, turns a sum into the exponent of a power of two.
    pub factor: f32,
}

/// Writes the probabilities of one query, the largest being 255, and returns their sum. `scores` is scratch for a value
/// for each key, to the end of the last panel.
#[inline(always)]
pub(super) fn probabilities<I: Isa>(
    isa: I,
    Scores { sums, len, factor }: Scores<'_>,
    keys: &Keys,
    scores: &mut [f32],
    to: &mut [u8],
) -> f32 {
    let padded = len.next_multiple_of(I::LANES);
    let mut largest = isa.splat(f32::NEG_INFINITY);
    let (scales, biases) = keys.scales();
    let keys = scales[..padded].chunks_exact(I::LANES).zip(biases.chunks_exact(I::LANES));
    let each = sums.chunks_exact(I::LANES).zip(scores.chunks_exact_mut(I::LANES)).zip(keys);
    for ((sums, scores), (scales, biases)) in each {
        let score = isa.mul(isa.without_zero_point(sums, 1, biases), isa.load(scales));
        largest = isa.max(largest, score);
        isa.store(score, scores);
    }
    let largest = isa.splat(isa.largest(largest));
    let factor = isa.splat(factor);
    for (scores, to) in scores[..padded].chunks_exact(I::LANES).zip(to.chunks_exact_mut(I::LANES)) {
        let exponent = isa.mul(isa.sub(isa.load(scores), largest), factor);
        isa.store_rounded(power(isa, exponent), to);
    }
    let mut total = 0u32;
    for &byte in &to[..len] {
        total += u32::from(byte.wrapping_add(I::INT8_OFFSET));
    }
    total as f32
}

/// Returns `255 · 2^x` for `x` up to zero. Where that is less than a half, the result is only less than a half too.
#[inline(always)]
fn power<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    /// Rounds to an integer when added and subtracted: it pushes the fraction out of the mantissa.
    const ROUND: f32 = 12_582_912.0;

    let round = isa.splat(ROUND);
    let x = isa.max(x, isa.splat(LOWEST));
    let n = isa.sub(isa.add(x, round), round);
    let f = isa.sub(x, n);
    let [constant, linear, square, cube] = POWERS.map(|coefficient| isa.splat(coefficient));
    let value = isa.mul_add(isa.mul_add(isa.mul_add(cube, f, square), f, linear), f, constant);
    isa.mul(value, isa.power_of_two(n))
}
