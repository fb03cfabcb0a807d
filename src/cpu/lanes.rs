//! Vectors out of slices of any length: past the end stand zeros.

use super::isa::{Isa, MAX_LANES};

/// Where vectors begin in `len` values.
#[inline(always)]
pub(crate) fn starts<I: Isa>(_: I, len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(I::LANES)
}

/// `LANES` values from `at` on.
#[inline(always)]
pub(crate) fn load_at<I: Isa>(isa: I, values: &[f32], at: usize) -> I::F32 {
    let rest = &values[at..];
    if rest.len() >= I::LANES {
        return isa.load(rest);
    }
    let mut buffer = [0.0; MAX_LANES];
    buffer[..rest.len()].copy_from_slice(rest);
    isa.load(&buffer)
}

/// Writes those of a vector's values, from `at` on, for which there is room.
#[inline(always)]
pub(crate) fn store_at<I: Isa>(isa: I, vector: I::F32, values: &mut [f32], at: usize) {
    let rest = &mut values[at..];
    if rest.len() >= I::LANES {
        return isa.store(vector, rest);
    }
    let mut buffer = [0.0; MAX_LANES];
    isa.store(vector, &mut buffer);
    rest.copy_from_slice(&buffer[..rest.len()]);
}

/// The sum of products of two slices of the same length.
#[inline(always)]
pub(crate) fn dot<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = isa.splat(0.0);
    for at in starts(isa, a.len()) {
        sum = isa.mul_add(load_at(isa, a, at), load_at(isa, b, at), sum);
    }
    isa.sum(sum)
}
