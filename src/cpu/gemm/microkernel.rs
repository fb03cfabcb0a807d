//! The microkernel: the loop of a tile that keeps the sums of its rows in registers. The arithmetic
//! of a step is `TileRow`, which each set's file in `cpu/simd` implements. The portable set, AMX and i8mm have loops of
//! their own.

use std::arch::asm;

use super::tile::Operands;
use crate::cpu::simd::prefetch;

/// Function that multiplies a tile with a fixed number of rows, under the conditions of [`multiply`].
pub(crate) type Product<A, W, S> = unsafe fn(&Operands<A, W, S>);

/// One row of a tile: its sums in registers, and how a step of a panel is added to them. It is compiled inside
/// functions with the set's `target_feature`s.
///
/// # Safety
/// `STEP` is `GROUP` weights for each column of the set's panels, and the functions read and write no more than
/// `GROUP` inputs, `STEP` weights and a sum for each column.
///
/// Callers ensure that the machine has the set's instructions and that this memory is valid.
pub(crate) unsafe trait TileRow {
    type Input;
    type Weight;
    type Sum;
    /// A step's weights in registers.
    type Columns: Copy;
    type Sums: Copy;
    /// Inputs of a step.
    const GROUP: usize;
    /// Weights of a step: `GROUP` for each column.
    const STEP: usize;

    unsafe fn zero() -> Self::Sums;
    unsafe fn columns(step: *const Self::Weight) -> Self::Columns;
    /// Writes a step's widened weights, if they can be widened.
    unsafe fn keep(_: Self::Columns, _: *mut Self::Sum) {
        unreachable!("these weights are not widened");
    }
    unsafe fn add(
        sums: Self::Sums,
        group: *const Self::Input,
        columns: Self::Columns,
    ) -> Self::Sums;
    /// Stores the sums, or adds them to the output.
    unsafe fn store(sums: Self::Sums, output: *mut Self::Sum, accumulate: bool);
}

/// Rows that are read through one pointer: an instruction's operand can be an address plus one or two times the row
/// stride.
const ROWS_PER_POINTER: usize = 3;
/// Enough pointers for the largest tile.
const POINTERS: usize = 4;
/// A tile with more rows than this takes two steps between updates of the pointers. A tile with fewer rows waits for
/// memory rather than for arithmetic, and two steps slow it down: 14.8 ms instead of 12.5 for a text of 8 tokens at the
/// 6×768 size.
const UNROLLED_ABOVE: usize = 8;

/// Position of a tile in its operands.
///
/// With this layout, AVX-512 reaches 88% of its arithmetic peak. Pointers computed for each row and step reach 80%,
/// because their additions compete with the multiplications.
struct Cursor<T: TileRow> {
    input: [*const T::Input; POINTERS],
    input_stride: usize,
    panel: *const T::Weight,
    ahead: *const u8,
    ahead_step: usize,
    kept: *mut T::Sum,
}

impl<T: TileRow> Cursor<T> {
    #[inline(always)]
    fn new(operands: &Operands<T::Input, T::Weight, T::Sum>) -> Self {
        let &Operands { input, input_stride, panel, ahead, ahead_step, kept, .. } = operands;
        let row = |index: usize| input.wrapping_add(index * ROWS_PER_POINTER * input_stride);
        Self { input: std::array::from_fn(row), input_stride, panel, ahead, ahead_step, kept }
    }

    /// Adds the next steps to the sums, and keeps their weights if `KEEP`.
    ///
    /// # Safety
    /// The conditions of [`TileRow`]; at least `STEPS` steps are left in the operands, and room for their weights if they
    /// are kept.
    #[inline(always)]
    unsafe fn add_steps<const STEPS: usize, const ROWS: usize, const KEEP: bool>(
        &mut self,
        sums: &mut [T::Sums; ROWS],
    ) {
        for step in 0..STEPS {
            prefetch(self.ahead, T::STEP * size_of::<T::Weight>());
            self.ahead = self.ahead.wrapping_add(self.ahead_step);
            // SAFETY: guaranteed by the caller.
            unsafe {
                let columns = T::columns(self.panel.add(step * T::STEP));
                if KEEP {
                    T::keep(columns, self.kept);
                    self.kept = self.kept.add(T::STEP);
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let (pointer, offset) = (row / ROWS_PER_POINTER, row % ROWS_PER_POINTER);
                    let at = offset * self.input_stride + step * T::GROUP;
                    *sums = T::add(*sums, self.input[pointer].add(at), columns);
                }
            }
        }
        self.panel = self.panel.wrapping_add(STEPS * T::STEP);
        for pointer in &mut self.input {
            *pointer = pointer.wrapping_add(STEPS * T::GROUP);
            *pointer = unknown(*pointer);
        }
    }
}

/// Hides a pointer's origin from the compiler, which would derive the cursor's pointers from each other.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written")]
fn unknown<T>(mut pointer: *const T) -> *const T {
    // SAFETY: there is no instruction, only a comment.
    unsafe { asm!("/* {} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags)) };
    pointer
}

/// Multiplies `ROWS` rows by one panel. Each sum is one chain along the depth, so that its bits do not depend on
/// `ROWS`.
///
/// # Safety
/// The conditions of [`TileRow`]; the operands have `ROWS` rows, and steps of `STEP` weights and `GROUP` inputs.
#[inline(always)]
pub(crate) unsafe fn multiply<const ROWS: usize, T: TileRow>(
    operands: &Operands<T::Input, T::Weight, T::Sum>,
) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply_and_keep::<ROWS, false, T>(operands) };
}

/// Does the work of [`multiply`], and keeps the widened weights if `KEEP`.
///
/// # Safety
/// The conditions of [`multiply`]; the operands have room for the weights if they are kept.
#[inline(always)]
pub(crate) unsafe fn multiply_and_keep<const ROWS: usize, const KEEP: bool, T: TileRow>(
    operands: &Operands<T::Input, T::Weight, T::Sum>,
) {
    const { assert!(ROWS <= POINTERS * ROWS_PER_POINTER) };
    let mut cursor = Cursor::<T>::new(operands);
    // SAFETY: the machine has the set (caller). `Operands` has checked that there are as many steps in
    // every row and in the panel, and that the output has room for a run for every row.
    unsafe {
        let mut sums = [T::zero(); ROWS];
        let pairs = if ROWS > UNROLLED_ABOVE { operands.steps / 2 } else { 0 };
        for _ in 0..pairs {
            cursor.add_steps::<2, ROWS, KEEP>(&mut sums);
        }
        for _ in 2 * pairs..operands.steps {
            cursor.add_steps::<1, ROWS, KEEP>(&mut sums);
        }
        for (row, &sums) in sums.iter().enumerate() {
            let output = operands.output.add(row * operands.output_stride);
            T::store(sums, output, operands.accumulate);
        }
    }
}

/// Lists a function for each number of rows, which is the first of its generic arguments; the second, if any, is the
/// type of weights.
macro_rules! products {
    ($function:ident; $($rows:literal)*) => { [$($function::<$rows>),*] };
    ($function:ident, $weight:ty; $($rows:literal)*) => { [$($function::<$rows, $weight>),*] };
}
pub(crate) use products;
