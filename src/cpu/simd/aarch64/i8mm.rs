//! Products of matrices of bytes (`usmmla`): two rows of eight inputs by two columns of eight weights, as
//! Neoverse V1 and Apple's M2 have them.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::neon::{self, PANEL, REGISTERS};
use crate::cpu::gemm::microkernel::Product;
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::integers::IntegerUnit;
use crate::cpu::simd::prefetch::prefetch;

/// Integer products with `usmmla`.
#[derive(Clone, Copy)]
pub(crate) struct I8mm;

/// Inputs of a step.
const GROUP: usize = 8;
/// Rows and columns of the block of sums that an instruction updates.
const SQUARE: usize = 2;
/// Columns of the panel, by squares.
const SQUARES: usize = PANEL / SQUARE;
/// Rows of a full tile, by squares: 24 accumulators.
const ROW_PAIRS: usize = 3;

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for I8mm {
    const TILE_ROWS: usize = ROW_PAIRS * SQUARE;
    const GROUP: usize = GROUP;

    fn is_detected() -> bool {
        is_aarch64_feature_detected!("i8mm")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PRODUCTS[(operands.rows - 1) / SQUARE](operands) };
    }
}

/// Products for 1 to `ROW_PAIRS` pairs of rows.
const PRODUCTS: [Product<u8, i8, i32>; ROW_PAIRS] =
    [multiply_squares::<1>, multiply_squares::<2>, multiply_squares::<3>];

/// `PAIRS` pairs of rows times one panel. If the last has no partner it is multiplied with itself, and
/// stored once.
///
/// # Safety
/// The machine has the instruction; the operands are of as many pairs of rows, and of steps of `GROUP`.
#[target_feature(enable = "neon,i8mm")]
unsafe fn multiply_squares<const PAIRS: usize>(operands: &Operands<u8, i8, i32>) {
    let &Operands { input, input_stride, rows, steps, mut panel, mut ahead, .. } = operands;
    let mut sums = [[vdupq_n_s32(0); SQUARES]; PAIRS];
    let row = |index: usize| input.wrapping_add(index.min(rows - 1) * input_stride);
    let mut pairs: [[*const u8; SQUARE]; PAIRS] =
        std::array::from_fn(|pair| [row(SQUARE * pair), row(SQUARE * pair + 1)]);
    for _ in 0..steps {
        prefetch(ahead, GROUP * PANEL);
        ahead = ahead.wrapping_add(operands.ahead_step);
        // SAFETY: `Operands` has checked that every row has `steps` groups and the panel as many steps.
        unsafe {
            let groups = pairs.map(|[upper, lower]| vcombine_u8(vld1_u8(upper), vld1_u8(lower)));
            for square in 0..SQUARES {
                let columns = vld1q_s8(panel.add(square * SQUARE * GROUP));
                for (sums, group) in sums.iter_mut().zip(groups) {
                    sums[square] = add_square(sums[square], group, columns);
                }
            }
        }
        panel = panel.wrapping_add(GROUP * PANEL);
        for row in pairs.as_flattened_mut() {
            *row = row.wrapping_add(GROUP);
        }
    }
    for (pair, squares) in sums.iter().enumerate() {
        let [upper, lower] = [SQUARE * pair, SQUARE * pair + 1];
        for register in 0..REGISTERS {
            let [left, right] = [squares[2 * register], squares[2 * register + 1]];
            let at = |row: usize| row * operands.output_stride + register * PANEL / REGISTERS;
            // SAFETY: `Operands` has checked that the output has room for a run for every row.
            unsafe {
                let sums = vcombine_s32(vget_low_s32(left), vget_low_s32(right));
                neon::store(sums, operands.output.add(at(upper)), operands.accumulate);
                if lower < rows {
                    let sums = vcombine_s32(vget_high_s32(left), vget_high_s32(right));
                    neon::store(sums, operands.output.add(at(lower)), operands.accumulate);
                }
            }
        }
    }
}

/// Adds the products of two rows, the halves of `group`, and two columns: those of the upper row first.
///
/// # Safety
/// The machine has the instruction.
#[inline(always)]
unsafe fn add_square(mut sums: int32x4_t, group: uint8x16_t, columns: int8x16_t) -> int32x4_t {
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
