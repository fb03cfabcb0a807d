//! Dot products of four signed bytes (`sdot`), available on Neoverse N1 and Cortex-A76.

use std::arch::aarch64::{int8x16_t, int32x4_t};
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::{Dot, Integers, TILE_ROWS};
use crate::cpu::gemm::microkernel::{Product, multiply, products};
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::bfloat::NoBf16;
use crate::cpu::simd::integers::IntegerUnit;

/// Integer products with `sdot`.
#[derive(Clone, Copy)]
pub(crate) struct Dotprod;

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for Dotprod {
    const TILE_ROWS: usize = TILE_ROWS;
    const OFFSET: u8 = 128;
    type Bf16 = NoBf16;

    fn is_detected() -> bool {
        is_aarch64_feature_detected!("dotprod")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PRODUCTS[operands.rows - 1](operands) };
    }
}

impl Dot for Dotprod {
    #[inline(always)]
    unsafe fn add(mut sum: int32x4_t, group: int8x16_t, columns: int8x16_t) -> int32x4_t {
        // SAFETY: the machine has the instruction (caller), which Rust does not offer yet.
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {columns:v}.16b, {group:v}.16b",
                sum = inout(vreg) sum,
                columns = in(vreg) columns,
                group = in(vreg) group,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sum
    }
}

/// Products for 1 to `TILE_ROWS` rows.
const PRODUCTS: [Product<u8, i8, i32>; TILE_ROWS] = products!(multiply_fours; 1 2 3 4 5 6);

/// # Safety
/// The machine has dot products; [`multiply`]'s other conditions.
#[target_feature(enable = "neon,dotprod")]
unsafe fn multiply_fours<const ROWS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Integers<Dotprod>>(operands) };
}
