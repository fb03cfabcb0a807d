//! Vectors of slices of any length, with zeros past the end.

use super::{Isa, MAX_LANES};

/// Returns the indices at which the vectors of `len` values begin.
#[inline(always)]
pub(crate) fn starts<I: Isa>(_: I, len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(I::LANES)
}

/// Loads `LANES` values from `at` on.
#[inline(always)]
pub(crate) fn load_at<I: Isa>(isa: I, values: &[f32], at: usize) -> I::F32 {
    let rest = &values[at..];
    if rest.len() >= I::LANES {
        return isa.load(rest);
    }
    // One by one: a call that copies them would, in every iteration, take the registers that hold the sums of the
    // surrounding loop.
    let mut buffer = [0.0; MAX_LANES];
    for (lane, to) in buffer.iter_mut().enumerate().take(I::LANES) {
        if let Some(&value) = rest.get(lane) {
            *to = value;
        }
    }
    isa.load(&buffer)
}

/// Stores a vector's values from `at` on, as far as there is room.
#[inline(always)]
pub(crate) fn store_at<I: Isa>(isa: I, vector: I::F32, values: &mut [f32], at: usize) {
    let rest = &mut values[at..];
    if rest.len() >= I::LANES {
        return isa.store(vector, rest);
    }
    let mut buffer = [0.0; MAX_LANES];
    isa.store(vector, &mut buffer);
    for (lane, value) in buffer.into_iter().enumerate().take(I::LANES) {
        if let Some(to) = rest.get_mut(lane) {
            *to = value;
        }
    }
}

/// Returns the sum of products of two slices of equal length.
#[cfg(feature = "explain")]
#[inline(always)]
pub(crate) fn dot<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = isa.splat(0.0);
    for at in starts(isa, a.len()) {
        sum = isa.mul_add(load_at(isa, a, at), load_at(isa, b, at), sum);
    }
    isa.sum(sum)
}
