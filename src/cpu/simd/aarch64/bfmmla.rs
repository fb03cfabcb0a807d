//! Products of matrices of bf16 (`bfmmla`): two rows of four inputs by two columns of four weights, available on
//! Neoverse V1 and Apple's M2.
//!
//! Unless the thread has set `FPCR.EBF`, which no system does by itself, the instruction rounds every product, every sum
//! of a pair and every total to odd, and flushes denormals: `bfdot` twice gives the same bits.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use half::bf16;

use super::squares::{ROW_PAIRS, Square, TILE_ROWS, last_pair, multiply};
use crate::cpu::gemm::microkernel::Product;
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::bfloat::Bf16Unit;

/// Products of bf16 with `bfmmla`.
#[derive(Clone, Copy)]
pub(crate) struct Bfmmla;

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl Bf16Unit for Bfmmla {
    const TILE_ROWS: usize = TILE_ROWS;
    const GROUP: usize = 4;

    #[inline(always)]
    fn is_detected() -> bool {
        is_aarch64_feature_detected!("bf16")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<bf16, bf16, f32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PRODUCTS[last_pair(operands.rows)](operands) };
    }
}

// SAFETY: a row of two squares is four sums.
unsafe impl Square for Bfmmla {
    type Input = bf16;
    type Weight = bf16;
    type Sum = f32;
    type Sums = float32x4_t;

    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vdupq_n_f32(0.0) }
    }

    #[inline(always)]
    unsafe fn add(mut sums: float32x4_t, group: uint8x16_t, columns: uint8x16_t) -> float32x4_t {
        // SAFETY: the machine has the instruction (caller), which Rust does not offer yet.
        unsafe {
            asm!(
                "bfmmla {sums:v}.4s, {group:v}.8h, {columns:v}.8h",
                sums = inout(vreg) sums,
                group = in(vreg) group,
                columns = in(vreg) columns,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sums
    }

    #[inline(always)]
    unsafe fn store_row(
        [left, right]: [float32x4_t; 2],
        lower: bool,
        output: *mut f32,
        accumulate: bool,
    ) {
        // SAFETY: every aarch64 has NEON; the output has room (caller).
        unsafe {
            let sums = if lower {
                vcombine_f32(vget_high_f32(left), vget_high_f32(right))
            } else {
                vcombine_f32(vget_low_f32(left), vget_low_f32(right))
            };
            let previous = if accumulate { vld1q_f32(output) } else { vdupq_n_f32(0.0) };
            vst1q_f32(output, vaddq_f32(previous, sums));
        }
    }
}

/// Products for 1 to `ROW_PAIRS` pairs of rows.
const PRODUCTS: [Product<bf16, bf16, f32>; ROW_PAIRS] =
    [multiply_squares::<1>, multiply_squares::<2>, multiply_squares::<3>];

/// # Safety
/// The machine has the instruction; [`multiply`]'s other conditions.
#[target_feature(enable = "neon,bf16")]
unsafe fn multiply_squares<const PAIRS: usize>(operands: &Operands<bf16, bf16, f32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<PAIRS, Bfmmla>(operands) };
}
