//! The loop over squares of two rows by two columns, for instructions that multiply two rows of eight bytes by two
//! columns of them.

use std::arch::aarch64::{uint8x16_t, vcombine_u8, vld1_u8, vld1q_u8};

use super::neon::{PANEL, REGISTERS};
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::prefetch::prefetch;

/// Bytes of a step, for each row and column.
const STEP_BYTES: usize = 8;
/// Rows and columns of the block of sums that an instruction updates.
const SQUARE: usize = 2;
/// Columns of the panel, by squares.
const SQUARES: usize = PANEL / SQUARE;

/// Rows of a full tile, by squares: 24 accumulators.
pub(super) const ROW_PAIRS: usize = 3;
pub(super) const TILE_ROWS: usize = ROW_PAIRS * SQUARE;

/// Returns the index of the product for a number of rows in a list that begins with one pair.
#[inline(always)]
pub(super) fn last_pair(rows: usize) -> usize {
    (rows - 1) / SQUARE
}

/// An instruction for squares. Its inputs and weights of a step are eight bytes, and its sums four.
///
/// # Safety
/// `store_row` writes `PANEL / REGISTERS` sums.
pub(super) unsafe trait Square {
    type Input;
    type Weight;
    type Sum;
    /// Four sums: those of the upper row first.
    type Sums: Copy;

    /// # Safety
    /// The machine has the instruction, as for the other functions.
    unsafe fn zero() -> Self::Sums;

    /// Adds the products of two rows, the halves of `group`, and two columns.
    ///
    /// # Safety
    /// The machine has the instruction.
    unsafe fn add(sums: Self::Sums, group: uint8x16_t, columns: uint8x16_t) -> Self::Sums;

    /// Stores one row of two neighboring squares, or adds it to the output.
    ///
    /// # Safety
    /// The machine has the instruction, and the output has room for four sums.
    unsafe fn store_row(
        squares: [Self::Sums; 2],
        lower: bool,
        output: *mut Self::Sum,
        accumulate: bool,
    );
}

/// Multiplies `PAIRS` pairs of rows by one panel. If the last has no partner it is multiplied with itself, and stored
/// once.
///
/// # Safety
/// The machine has the instruction; the operands are of as many pairs of rows, and of steps of eight bytes.
#[inline(always)]
pub(super) unsafe fn multiply<const PAIRS: usize, S: Square>(
    operands: &Operands<S::Input, S::Weight, S::Sum>,
) {
    let &Operands { input, input_stride, rows, steps, panel, mut ahead, .. } = operands;
    let mut panel: *const u8 = panel.cast();
    // SAFETY: guaranteed by the caller.
    let mut sums = [[unsafe { S::zero() }; SQUARES]; PAIRS];
    let row = |index: usize| input.wrapping_add(index.min(rows - 1) * input_stride).cast::<u8>();
    let mut pairs: [[*const u8; SQUARE]; PAIRS] =
        std::array::from_fn(|pair| [row(SQUARE * pair), row(SQUARE * pair + 1)]);
    for _ in 0..steps {
        prefetch(ahead, STEP_BYTES * PANEL);
        ahead = ahead.wrapping_add(operands.ahead_step);
        // SAFETY: `Operands` has checked that every row has `steps` groups and the panel as many steps.
        unsafe {
            let groups = pairs.map(|[upper, lower]| vcombine_u8(vld1_u8(upper), vld1_u8(lower)));
            for square in 0..SQUARES {
                let columns = vld1q_u8(panel.add(square * SQUARE * STEP_BYTES));
                for (sums, group) in sums.iter_mut().zip(groups) {
                    sums[square] = S::add(sums[square], group, columns);
                }
            }
        }
        panel = panel.wrapping_add(STEP_BYTES * PANEL);
        for row in pairs.as_flattened_mut() {
            *row = row.wrapping_add(STEP_BYTES);
        }
    }
    for (pair, squares) in sums.iter().enumerate() {
        let [upper, lower] = [SQUARE * pair, SQUARE * pair + 1];
        for register in 0..REGISTERS {
            let neighbors = [squares[2 * register], squares[2 * register + 1]];
            let at = |row: usize| row * operands.output_stride + register * PANEL / REGISTERS;
            // SAFETY: `Operands` has checked that the output has room for a run for every row.
            unsafe {
                let accumulate = operands.accumulate;
                S::store_row(neighbors, false, operands.output.add(at(upper)), accumulate);
                if lower < rows {
                    S::store_row(neighbors, true, operands.output.add(at(lower)), accumulate);
                }
            }
        }
    }
}
