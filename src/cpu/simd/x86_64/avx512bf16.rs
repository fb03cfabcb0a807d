//! Dot products of pairs of bf16 (`vdpbf16ps`), available on Zen 4, Cooper Lake and Sapphire Rapids.

use std::arch::x86_64::*;
use std::mem::transmute;

use half::bf16;

use super::avx512::{PANEL, REGISTERS, TILE_ROWS, WIDTH, store};
use crate::cpu::gemm::microkernel::{Product, TileRow, multiply, products};
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::bfloat::{self, Bf16Unit};

/// Products of bf16 with AVX512-BF16.
#[derive(Clone, Copy)]
pub(crate) struct DotBf16;

/// Inputs of a step: a pair.
const GROUP: usize = 2;

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl Bf16Unit for DotBf16 {
    const TILE_ROWS: usize = TILE_ROWS;
    const GROUP: usize = GROUP;

    #[inline(always)]
    fn is_detected() -> bool {
        is_x86_feature_detected!("avx512bf16")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<bf16, bf16, f32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PRODUCTS[operands.rows - 1](operands) };
    }

    #[inline(always)]
    unsafe fn narrow_row(from: &[f32], to: &mut [bf16]) {
        // SAFETY: guaranteed by the caller.
        unsafe { narrow_row(from, to) };
    }
}

/// Rounds each value as [`bfloat::narrow`] does: `vcvtneps2bf16` rounds to nearest and takes denormals as zero, whatever
/// the thread's settings.
///
/// # Safety
/// The machine has AVX-512F and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn narrow_row(from: &[f32], to: &mut [bf16]) {
    let (vectors, rest) = from.as_chunks::<WIDTH>();
    let (whole, rest_to) = to.split_at_mut(vectors.len() * WIDTH);
    for (from, to) in vectors.iter().zip(whole.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: the machine has the instruction (caller); both arrays hold `WIDTH` values.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from.as_ptr()));
            *to = transmute::<__m256bh, [bf16; WIDTH]>(rounded);
        }
    }
    bfloat::narrow_row(rest, rest_to);
}

/// Rows of sums of pairs.
struct Pairs;

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl TileRow for Pairs {
    type Input = bf16;
    type Weight = bf16;
    type Sum = f32;
    type Columns = [__m512bh; REGISTERS];
    type Sums = [__m512; REGISTERS];
    const GROUP: usize = GROUP;
    const STEP: usize = GROUP * PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm512_setzero_ps(); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const bf16) -> Self::Columns {
        // SAFETY: the weights are there (caller); registers have the same bits as what they hold.
        unsafe {
            let left = _mm512_loadu_si512(step.cast());
            let right = _mm512_loadu_si512(step.add(GROUP * WIDTH).cast());
            [transmute::<__m512i, __m512bh>(left), transmute::<__m512i, __m512bh>(right)]
        }
    }

    /// Adds the product of the second of each pair, then that of the first. The instruction takes denormals as zero,
    /// flushes sums to zero, and rounds to nearest, whatever the thread's settings.
    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, group: *const bf16, columns: Self::Columns) -> Self::Sums {
        // SAFETY: the inputs are there and the machine has the instruction (caller); registers as above.
        unsafe {
            let group: __m512bh =
                transmute(_mm512_set1_epi32(group.cast::<i32>().read_unaligned()));
            for (sum, columns) in sums.iter_mut().zip(columns) {
                // With the columns last, their load would become the instruction's operand where a tile has one row, and
                // Bochs misreads the displacement of such an operand.
                *sum = _mm512_dpbf16_ps(*sum, columns, group);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, output: *mut f32, accumulate: bool) {
        // SAFETY: guaranteed by the caller.
        unsafe { store(sums, output, accumulate) };
    }
}

/// Products for 1 to `TILE_ROWS` rows.
const PRODUCTS: [Product<bf16, bf16, f32>; TILE_ROWS] =
    products!(multiply_pairs; 1 2 3 4 5 6 7 8 9 10 11 12);

/// # Safety
/// The machine has AVX-512F and AVX512-BF16; [`multiply`]'s other conditions.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn multiply_pairs<const ROWS: usize>(operands: &Operands<bf16, bf16, f32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Pairs>(operands) };
}
