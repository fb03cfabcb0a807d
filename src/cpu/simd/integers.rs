//! [`IntegerUnit`]: instructions for products of integers, in which otherwise equal machines differ.

use super::bfloat::Bf16Unit;
use crate::cpu::gemm::tile::Operands;

/// An instruction, or a sequence of them, that multiplies bytes. Proof tokens carry it as a type.
///
/// # Safety
/// `is_detected` returns `true` only on machines that have the unit, and `multiply` reads and writes no more than
/// operands of at most `TILE_ROWS` rows and steps of `GROUP` inputs describe.
pub(crate) unsafe trait IntegerUnit: Copy + Send + Sync + 'static {
    /// Rows of a full tile.
    const TILE_ROWS: usize;
    /// Inputs of one step.
    const GROUP: usize = 4;
    /// [`Isa::INT8_OFFSET`](super::Isa::INT8_OFFSET).
    const OFFSET: u8 = 0;
    /// Instruction for products of bf16 that machines with this unit may have.
    type Bf16: Bf16Unit;

    /// Returns `true` if the machine has the unit.
    fn is_detected() -> bool;

    /// Multiplies a tile of at most `TILE_ROWS` rows, of panels as wide as the set's and steps of `GROUP`.
    ///
    /// # Safety
    /// The machine has the instructions of the set that the unit belongs to, and `is_detected` has said
    /// that it has the unit.
    unsafe fn multiply(operands: &Operands<u8, i8, i32>);
}
