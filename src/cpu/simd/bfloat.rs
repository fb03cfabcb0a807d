//! bf16: conversion from `f32`, the instructions that multiply it, and plain Rust that stands in for them in tests.

use half::bf16;

use super::MAX_PANEL;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::cpu::gemm::tile::Operands;
use crate::cpu::gemm::tile::{TileOutput, TileRows};

/// Inputs of a step without an instruction for bf16.
pub(crate) const GROUP: usize = 2;

/// An instruction that multiplies bf16 and adds the products in `f32`. Machines with the same set differ in whether they
/// have it, so it is not part of the set: the [`IntegerUnit`](super::integers::IntegerUnit) names the unit that such
/// machines may have.
///
/// # Safety
/// `is_detected` returns `true` only on machines that have the unit, and `multiply` reads and writes no more than
/// operands of at most `TILE_ROWS` rows and steps of `GROUP` inputs describe.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) unsafe trait Bf16Unit: Copy + Send + Sync + 'static {
    /// Rows of a full tile.
    const TILE_ROWS: usize;
    /// Inputs of one step; a multiple of two.
    const GROUP: usize;

    /// Returns `true` if the machine has the unit. The answer is cached, because every tile asks.
    fn is_detected() -> bool;

    /// Multiplies a tile of at most `TILE_ROWS` rows, of panels as wide as the set's and steps of `GROUP`. The order in
    /// which an output is summed does not depend on the number of rows.
    ///
    /// # Safety
    /// The machine has the instructions of the set that the unit belongs to, and `is_detected` has said that it has the
    /// unit.
    unsafe fn multiply(operands: &Operands<bf16, bf16, f32>);

    /// Rounds each value of a row as [`narrow`] does.
    ///
    /// # Safety
    /// As for [`multiply`](Self::multiply).
    #[inline(always)]
    unsafe fn narrow_row(from: &[f32], to: &mut [bf16]) {
        narrow_row(from, to);
    }
}

/// Unit of sets whose machines never have bf16 instructions.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[derive(Clone, Copy)]
pub(crate) struct NoBf16;

// SAFETY: the unit is never detected, and touches no memory.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl Bf16Unit for NoBf16 {
    const TILE_ROWS: usize = 12;
    const GROUP: usize = GROUP;

    fn is_detected() -> bool {
        false
    }

    unsafe fn multiply(_: &Operands<bf16, bf16, f32>) {
        unreachable!("the unit is never detected");
    }
}

/// Rounds to the nearest bf16, ties to even. Denormals become zero of the same sign, as in the instructions that
/// multiply bf16, so that an input means the same to all of them. NaN stays NaN.
#[inline(always)]
pub(crate) fn narrow(value: f32) -> bf16 {
    const SMALLEST_NORMAL: u32 = 0x0080_0000;
    let bits = value.to_bits();
    let upper = (bits >> 16) as u16;
    let rounded = (bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16) as u16;
    let rounded = if bits & 0x7FFF_FFFF < SMALLEST_NORMAL { upper & 0x8000 } else { rounded };
    bf16::from_bits(if value.is_nan() { upper | 0x0040 } else { rounded })
}

/// Rounds each value of a row.
#[inline(always)]
pub(crate) fn narrow_row(from: &[f32], to: &mut [bf16]) {
    for (to, &value) in to.iter_mut().zip(from) {
        *to = narrow(value);
    }
}

/// Returns the value of a bf16.
#[inline(always)]
pub(crate) fn widen(value: bf16) -> f32 {
    f32::from_bits(u32::from(value.to_bits()) << 16)
}

/// Multiplies a tile as [`Isa::tile_bf16`](super::Isa::tile_bf16) does, on any machine.
///
/// Within a pair of inputs the second product is added first, each with one rounding, as `vdpbf16ps` is specified. A
/// product of two bf16 is exact in `f32`, so a multiplication and an addition round once. Unlike the instruction, this
/// keeps sums that are denormal.
pub(crate) fn emulate(
    input: TileRows<'_, bf16>,
    panel: &[bf16],
    output: TileOutput<'_, f32>,
    (width, group): (usize, usize),
) {
    let TileRows { values, stride, rows, depth } = input;
    assert_eq!(panel.len(), depth * width, "the panel's depth differs from the rows'");
    for row in 0..rows {
        let inputs = &values[row * stride..][..depth];
        let mut sums = [0.0; MAX_PANEL];
        for (inputs, step) in inputs.chunks_exact(group).zip(panel.chunks_exact(width * group)) {
            for (sum, weights) in sums.iter_mut().zip(step.chunks_exact(group)) {
                for (inputs, weights) in inputs.chunks_exact(2).zip(weights.chunks_exact(2)) {
                    *sum += widen(inputs[1]) * widen(weights[1]);
                    *sum += widen(inputs[0]) * widen(weights[0]);
                }
            }
        }
        let to = &mut output.values[row * output.stride..][..width];
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = if output.accumulate { *to + sum } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{Isa, Kernel, on_every_isa};
    use crate::testing::random;

    /// Returns the candidates on both sides of a value, and the value's own bits where it is one of them.
    fn neighbors(value: f32) -> [bf16; 2] {
        let upper = (value.to_bits() >> 16) as u16;
        [bf16::from_bits(upper), bf16::from_bits(upper + 1)]
    }

    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        let spread =
            [1e-30f32, 1.0, 3e38].map(|scale| random(9, 500).into_iter().map(move |x| x * scale));
        let ties = (0u32..8).map(|low| f32::from_bits(0x3F80_0000 + (low << 15)));
        for value in spread.into_iter().flatten().chain(ties) {
            let found = narrow(value);
            let [below, above] = neighbors(value);
            let distance = |other: bf16| (f64::from(widen(other)) - f64::from(value)).abs();
            assert!(found == below || found == above, "{value} became {found}");
            let (nearer, farther) = if found == below { (below, above) } else { (above, below) };
            assert!(distance(nearer) <= distance(farther), "{value} became {found}");
            if distance(nearer) == distance(farther) {
                assert_eq!(found.to_bits() & 1, 0, "{value} became {found}");
            }
        }
    }

    #[test]
    fn rows_are_rounded_in_the_same_way_on_every_set() {
        let mut values: Vec<f32> = random(7, 600).into_iter().map(|x| x * 1e-38).collect();
        values.extend(random(8, 600));
        // Every exponent with both signs, and ends and midpoints of mantissas.
        for upper in 0..=u16::MAX >> 7 {
            for lower in [0, 1, 0x7FFF, 0x8000, 0x8001, 0x1_7FFF, 0x1_8000, 0x7F_8000, 0x7F_FFFF] {
                values.push(f32::from_bits(u32::from(upper) << 23 | lower));
            }
        }
        for len in [0, 1, 15, 16, 17, 33, values.len()] {
            for first in [0, 1, values.len() - len] {
                let values = &values[first.min(values.len() - len)..][..len];
                let expected: Vec<u16> = values.iter().map(|&x| narrow(x).to_bits()).collect();
                on_every_isa(|set, isa| {
                    let mut found = vec![bf16::ONE; len];
                    isa.dispatch(NarrowRow(values, &mut found));
                    let found: Vec<u16> = found.into_iter().map(bf16::to_bits).collect();
                    assert_eq!(found, expected, "{set}");
                });
            }
        }
    }

    struct NarrowRow<'a>(&'a [f32], &'a mut [bf16]);

    impl Kernel for NarrowRow<'_> {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            isa.narrow_row(self.0, self.1);
        }
    }

    #[test]
    fn keeps_special_values_and_flushes_denormals() {
        for value in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1.5, -2.0] {
            assert_eq!(widen(narrow(value)).to_bits(), value.to_bits());
        }
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7F80_0001), f32::from_bits(0xFFFF_FFFF)] {
            assert!(narrow(nan).is_nan());
        }
        assert_eq!(narrow(f32::MAX), bf16::INFINITY);
        let denormal = f32::from_bits(0x007F_FFFF);
        assert_eq!(narrow(denormal).to_bits(), 0);
        assert_eq!(narrow(-denormal).to_bits(), 0x8000);
        assert_eq!(widen(narrow(f32::MIN_POSITIVE)), f32::MIN_POSITIVE);
    }
}
