//! Instruction sets: the operations that each supplies, and the choice among them.
//!
//! An instruction set is a proof token: a value of `Avx2` can only come from its `detect`, so a
//! function that takes one may use its instructions. Operations are written once, as a [`Kernel`]
//! over the vector operations of [`Isa`], and [`Isa::dispatch`] compiles them with the set's instructions
//! switched on. Code above the kernels holds a [`SelectedIsa`], which chooses once per task. A new set is a
//! file in `x86_64/` or `aarch64/`, a variant in `instruction_set.rs` and a line in `selected.rs`; CONTRIBUTING.md lists
//! the rest.
//!
//! A set that differs from an existing one only in how it multiplies bytes is an `IntegerUnit` of that set. Products of
//! bf16 are a `Bf16Unit`, which is detected separately: code above checks [`Isa::has_bf16`] before it loads a model.
//! The properties of a tile that packing depends on (its columns, the inputs of a step, the offset of inputs) are
//! constants of [`Isa`].

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod bfloat;
mod instruction_set;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) mod integers;
pub(super) mod lanes;
mod portable;
mod prefetch;
mod selected;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::mem::MaybeUninit;

use half::{bf16, f16};

pub use self::instruction_set::InstructionSet;
pub(crate) use self::prefetch::prefetch;
pub(crate) use self::selected::{SelectedIsa, TileShape};
use super::gemm::tile::{Ahead, TileOutput, TileRows};

/// Maximum number of lanes per vector, on any instruction set.
pub(crate) const MAX_LANES: usize = 16;

/// Maximum number of columns of a panel, on any instruction set.
pub(crate) const MAX_PANEL: usize = 32;

/// Rows and columns that [`Isa::transpose_square`] transposes.
pub(crate) const SQUARE: usize = 8;

/// An operation written over vectors of any instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Implementations that compute are `#[inline(always)]`, so that they are compiled inside
    /// [`Isa::dispatch`], with its instructions.
    fn eval<I: Isa>(self, isa: I) -> Self::Output;
}

/// Operations that an instruction set supplies: those on vectors of `f32`, and the tile of a matrix product.
///
/// Every method is IEEE arithmetic in a fixed order, so that results depend only on the set and the operands. Between
/// sets, [`mul_add`](Self::mul_add) may round differently, and sums may be taken in another order.
///
/// # Safety
/// A value of the type exists only on machines that have the set's instructions.
pub(crate) unsafe trait Isa: Copy + Send + Sync + 'static {
    /// A vector of `LANES` values, at most [`MAX_LANES`].
    type F32: Copy;
    const LANES: usize;
    /// Columns of a packed panel; a multiple of `LANES`.
    const PANEL: usize;
    /// Rows of a full tile.
    const TILE_ROWS: usize;
    /// Rows of a full tile of integers.
    const INT8_TILE_ROWS: usize = Self::TILE_ROWS;
    /// Inputs of one step of a panel of integers, whose weights are side by side for each column.
    const INT8_GROUP: usize = 4;
    /// Offset subtracted from 8-bit inputs, modulo 256: zero, or 128 where instructions take signed bytes.
    const INT8_OFFSET: u8 = 0;
    /// Rows of a full tile of bf16.
    const BF16_TILE_ROWS: usize = Self::TILE_ROWS;
    /// Inputs of one step of a panel of bf16, whose weights are side by side for each column; a multiple of two.
    const BF16_GROUP: usize = bfloat::GROUP;

    /// Returns `true` if this machine has an instruction for products of bf16 in addition to the set's.
    fn has_bf16(self) -> bool {
        false
    }

    /// Evaluates a kernel compiled with this set's instructions.
    fn dispatch<K: Kernel>(self, kernel: K) -> K::Output;

    /// Multiplies up to `TILE_ROWS` rows by one packed panel, and prefetches `ahead` into L2. The order in which an
    /// output is summed over the inner dimension does not depend on the number of rows.
    fn tile_f32(
        self,
        input: TileRows<'_, f32>,
        panel: &[f32],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    );

    /// Multiplies as [`tile_f32`](Self::tile_f32) does, with the same bits, by weights that are widened as they are
    /// read.
    fn tile_f16(
        self,
        input: TileRows<'_, f32>,
        panel: &[f16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    );

    /// Multiplies as [`tile_f16`](Self::tile_f16) does, and returns the widened weights for the next tiles if the set
    /// gains from widening them once.
    fn tile_f16_widening<'w>(
        self,
        input: TileRows<'_, f32>,
        panel: &[f16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
        _widened: &'w mut [MaybeUninit<f32>],
    ) -> Option<&'w [f32]> {
        self.tile_f16(input, panel, ahead, output);
        None
    }

    /// Multiplies up to `INT8_TILE_ROWS` rows of inputs, from which `INT8_OFFSET` has been subtracted, by weights
    /// between −63 and 63 in groups of `INT8_GROUP`. The sums are exact.
    fn tile_int8(
        self,
        input: TileRows<'_, u8>,
        panel: &[i8],
        ahead: Ahead<'_>,
        output: TileOutput<'_, i32>,
    );

    /// Multiplies up to `BF16_TILE_ROWS` rows by one packed panel in groups of `BF16_GROUP`. The order in which an output
    /// is summed over the inner dimension depends only on that dimension and the instruction. Without an instruction,
    /// [`bfloat::emulate`] multiplies correctly but slowly.
    fn tile_bf16(
        self,
        input: TileRows<'_, bf16>,
        panel: &[bf16],
        _ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        bfloat::emulate(input, panel, output, (Self::PANEL, Self::BF16_GROUP));
    }

    /// Rounds each value of a row as [`bfloat::narrow`] does.
    fn narrow_row(self, from: &[f32], to: &mut [bf16]) {
        bfloat::narrow_row(from, to);
    }

    /// Returns the first `LANES` of `sums − zero_point · column_sums`, which is exact before it is rounded to
    /// `f32`.
    fn without_zero_point(self, sums: &[i32], zero_point: i32, column_sums: &[i32]) -> Self::F32;

    /// Rounds `LANES` values between 0 and 255 to the nearest integers, ties to even, and writes them minus
    /// `INT8_OFFSET`.
    fn store_rounded(self, value: Self::F32, to: &mut [u8]);

    /// Writes `SQUARE` rows of `SQUARE` values as columns: value `c` of row `r` goes to
    /// `to[c · to_stride + r]`.
    fn transpose_square(self, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize);

    fn splat(self, value: f32) -> Self::F32;
    /// Loads the first `LANES` values; panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::F32;
    /// Stores `LANES` values; panics if there is room for fewer.
    fn store(self, value: Self::F32, to: &mut [f32]);
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Returns `a · b + c`, rounded once where the set has the instruction.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Returns `value` where `a < b`, else zero.
    fn keep_if_less(self, a: Self::F32, b: Self::F32, value: Self::F32) -> Self::F32;
    /// Returns `2^n` for integers `n` from −126 to 127.
    fn power_of_two(self, n: Self::F32) -> Self::F32;
    fn sum(self, a: Self::F32) -> f32;
    fn largest(self, a: Self::F32) -> f32;
    fn smallest(self, a: Self::F32) -> f32;
}

/// Calls a function with every instruction set that this machine has, or only with the expected one.
#[cfg(test)]
pub(crate) fn on_every_isa(mut check: impl FnMut(InstructionSet, SelectedIsa)) {
    if let Some(set) = crate::testing::expected_set() {
        return check(set, set.detect().unwrap_or_else(|| panic!("this machine lacks {set}")));
    }
    for &set in InstructionSet::ALL {
        match set.detect() {
            Some(isa) => check(set, isa),
            None => println!("skipped {set}: this machine lacks it"),
        }
    }
}

/// Evaluates a kernel on every instruction set that this machine has, or only on the expected one.
#[cfg(test)]
pub(crate) fn on_every_set<K: Kernel + Clone>(
    kernel: K,
    mut check: impl FnMut(InstructionSet, K::Output),
) {
    on_every_isa(|set, isa| check(set, isa.dispatch(kernel.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[derive(Clone)]
    struct Transpose {
        from: Vec<f32>,
        strides: (usize, usize),
    }

    impl Kernel for Transpose {
        type Output = Vec<f32>;

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) -> Vec<f32> {
            let mut to = vec![7.0; (SQUARE - 1) * self.strides.1 + SQUARE];
            isa.transpose_square(&self.from, self.strides.0, &mut to, self.strides.1);
            to
        }
    }

    #[test]
    fn squares_are_transposed_whatever_the_distance_of_rows() {
        for strides in [(8, 8), (9, 11), (64, 32)] {
            let from = random(1, (SQUARE - 1) * strides.0 + SQUARE);
            let expected: Vec<f32> = (0..(SQUARE - 1) * strides.1 + SQUARE)
                .map(|at| match (at / strides.1, at % strides.1) {
                    (column, row) if row < SQUARE => from[row * strides.0 + column],
                    _ => 7.0,
                })
                .collect();
            on_every_set(Transpose { from, strides }, |set, found| {
                assert_eq!(found, expected, "{set}");
            });
        }
    }
}
