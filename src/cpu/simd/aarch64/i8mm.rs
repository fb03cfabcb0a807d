//! Products of matrices of bytes (`usmmla`): two rows of eight inputs by two columns of eight weights, available on
//! Neoverse V1 and Apple's M2.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::bfmmla::Bfmmla;
use super::neon;
use super::squares::{ROW_PAIRS, Square, TILE_ROWS, last_pair, multiply};
use crate::cpu::gemm::microkernel::Product;
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::integers::IntegerUnit;

/// Integer products with `usmmla`.
#[derive(Clone, Copy)]
pub(crate) struct I8mm;

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for I8mm {
    const TILE_ROWS: usize = TILE_ROWS;
    const GROUP: usize = 8;
    type Bf16 = Bfmmla;

    fn is_detected() -> bool {
        is_aarch64_feature_detected!("i8mm")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PRODUCTS[last_pair(operands.rows)](operands) };
    }
}

// SAFETY: a row of two squares is four sums.
unsafe impl Square for I8mm {
    type Input = u8;
    type Weight = i8;
    type Sum = i32;
    type Sums = int32x4_t;

    #[inline(always)]
    unsafe fn zero() -> int32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    unsafe fn add(mut sums: int32x4_t, group: uint8x16_t, columns: uint8x16_t) -> int32x4_t {
        // SAFETY: the machine has the instruction (caller), which Rust does not offer yet.
        unsafe {
            asm!(
                "usmmla {sums:v}.4s, {group:v}.16b, {columns:v}.16b",
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
        [left, right]: [int32x4_t; 2],
        lower: bool,
        output: *mut i32,
        accumulate: bool,
    ) {
        // SAFETY: every aarch64 has NEON; the output has room (caller).
        unsafe {
            let sums = if lower {
                vcombine_s32(vget_high_s32(left), vget_high_s32(right))
            } else {
                vcombine_s32(vget_low_s32(left), vget_low_s32(right))
            };
            neon::store(sums, output, accumulate);
        }
    }
}

/// Products for 1 to `ROW_PAIRS` pairs of rows.
const PRODUCTS: [Product<u8, i8, i32>; ROW_PAIRS] =
    [multiply_squares::<1>, multiply_squares::<2>, multiply_squares::<3>];

/// # Safety
/// The machine has the instruction; [`multiply`]'s other conditions.
#[target_feature(enable = "neon,i8mm")]
unsafe fn multiply_squares<const PAIRS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<PAIRS, I8mm>(operands) };
}
