//! VNNI on registers of 256 bits, for machines without AVX-512.

use std::arch::x86_64::*;

use super::avx2::{Dot, Integers, TILE_ROWS};
use crate::cpu::gemm::microkernel::{Product, multiply, products};
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::bfloat::NoBf16;
use crate::cpu::simd::integers::IntegerUnit;

/// Integer products with AVX-VNNI.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni;

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for AvxVnni {
    const TILE_ROWS: usize = TILE_ROWS;
    type Bf16 = NoBf16;

    fn is_detected() -> bool {
        is_x86_feature_detected!("avxvnni")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PRODUCTS[operands.rows - 1](operands) };
    }
}

impl Dot for AvxVnni {
    #[inline(always)]
    unsafe fn add(sum: __m256i, group: __m256i, columns: __m256i) -> __m256i {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm256_dpbusd_avx_epi32(sum, group, columns) }
    }
}

/// Products for 1 to `TILE_ROWS` rows.
const PRODUCTS: [Product<u8, i8, i32>; TILE_ROWS] = products!(multiply_fours; 1 2 3 4 5 6);

/// # Safety
/// The machine has AVX2 and AVX-VNNI; [`multiply`]'s other conditions.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn multiply_fours<const ROWS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Integers<AvxVnni>>(operands) };
}
