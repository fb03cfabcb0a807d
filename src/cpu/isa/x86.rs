//! What the x86-64 sets share: the loop of a tile, and the methods that are one intrinsic of either width.

use std::arch::asm;
use std::arch::x86_64::*;

use super::SQUARE;
use super::tile::Operands;

/// A tile of some number of rows: see [`multiply`] for what the caller must see to.
pub(super) type Product<A, W, S> = unsafe fn(&Operands<A, W, S>);

/// One row of a tile: its sums in registers, and how a step of a panel is added to them. It is compiled
/// inside functions of the set's `target_feature`s.
///
/// # Safety
/// All functions: the machine has the set's instructions, and what is pointed to is there: `GROUP`
/// inputs, a step of a panel, or a run of as many sums as a panel has columns.
pub(super) trait TileRow {
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
    unsafe fn add(
        sums: Self::Sums,
        group: *const Self::Input,
        columns: Self::Columns,
    ) -> Self::Sums;
    /// Stores the sums, or adds them to what the output holds.
    unsafe fn store(sums: Self::Sums, output: *mut Self::Sum, accumulate: bool);
}

/// Rows that are read by way of one pointer: an instruction's operand can be an address plus once or twice
/// the distance of rows.
const ROWS_PER_POINTER: usize = 3;
/// For the most rows that a tile has.
const POINTERS: usize = 4;
/// A tile of more rows takes two steps between updates of the pointers. One of fewer waits for memory
/// rather than for the arithmetic, and memory is the slower for it: 14.8 ms instead of 12.5 for a text
/// of 8 tokens at the 6×768 size.
const UNROLLED_ABOVE: usize = 8;

/// Where a tile has got to in its operands.
///
/// Its form is what lets AVX-512 reach 88 % of the arithmetic's peak where pointers computed for each
/// row and step reach 80 %: their additions take turns from the multiplications.
struct Cursor<T: TileRow> {
    input: [*const T::Input; POINTERS],
    input_stride: usize,
    panel: *const T::Weight,
    ahead: *const u8,
    ahead_step: usize,
}

impl<T: TileRow> Cursor<T> {
    #[inline(always)]
    fn new(operands: &Operands<T::Input, T::Weight, T::Sum>) -> Self {
        let &Operands { input, input_stride, panel, ahead, ahead_step, .. } = operands;
        let row = |index: usize| input.wrapping_add(index * ROWS_PER_POINTER * input_stride);
        Self { input: std::array::from_fn(row), input_stride, panel, ahead, ahead_step }
    }

    /// Adds the next steps to the sums.
    ///
    /// # Safety
    /// As for [`TileRow`]; so many steps are left in the operands.
    #[inline(always)]
    unsafe fn add_steps<const STEPS: usize, const ROWS: usize>(
        &mut self,
        sums: &mut [T::Sums; ROWS],
    ) {
        for step in 0..STEPS {
            prefetch(self.ahead, T::STEP * size_of::<T::Weight>());
            self.ahead = self.ahead.wrapping_add(self.ahead_step);
            // SAFETY: the caller's.
            unsafe {
                let columns = T::columns(self.panel.add(step * T::STEP));
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

/// The same pointer, of which the compiler knows nothing: it would derive the cursor's from each other.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written")]
fn unknown<T>(mut pointer: *const T) -> *const T {
    // SAFETY: there is no instruction, only a comment.
    unsafe { asm!("/* {} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags)) };
    pointer
}

/// `ROWS` rows times one panel. Each sum is one chain along the depth, so that its bits do not depend on
/// `ROWS`.
///
/// # Safety
/// As for [`TileRow`]; the operands are of `ROWS` rows, and of steps of `STEP` weights and `GROUP` inputs.
#[inline(always)]
pub(super) unsafe fn multiply<const ROWS: usize, T: TileRow>(
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
            cursor.add_steps::<2, ROWS>(&mut sums);
        }
        for _ in 2 * pairs..operands.steps {
            cursor.add_steps::<1, ROWS>(&mut sums);
        }
        for (row, &sums) in sums.iter().enumerate() {
            let output = operands.output.add(row * operands.output_stride);
            T::store(sums, output, operands.accumulate);
        }
    }
}

/// Asks for so many bytes from `at` on to be brought into L2, on any x86-64. They need not be there.
#[inline(always)]
pub(super) fn prefetch(at: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        // SAFETY: every x86-64 has SSE; prefetching changes nothing but the caches and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(line).cast()) };
    }
}

/// [`Isa::transpose_square`](super::Isa::transpose_square).
///
/// # Safety
/// The machine has AVX.
#[inline(always)]
pub(super) unsafe fn transpose_square(
    from: &[f32],
    from_stride: usize,
    to: &mut [f32],
    to_stride: usize,
) {
    assert!(from.len() >= (SQUARE - 1) * from_stride + SQUARE, "the rows reach past their slice");
    assert!(to_stride >= SQUARE, "the columns overlap");
    assert!(to.len() >= (SQUARE - 1) * to_stride + SQUARE, "the columns reach past their slice");
    // SAFETY: the machine has AVX (caller); row `index` of either slice is in it (above).
    unsafe {
        let mut rows = [_mm256_setzero_ps(); SQUARE];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = _mm256_loadu_ps(from.as_ptr().add(index * from_stride));
        }
        // In each half of a register: values of two rows in turn, then of four.
        let mut pairs = rows;
        for row in (0..SQUARE).step_by(2) {
            pairs[row] = _mm256_unpacklo_ps(rows[row], rows[row + 1]);
            pairs[row + 1] = _mm256_unpackhi_ps(rows[row], rows[row + 1]);
        }
        let mut fours = pairs;
        for row in (0..SQUARE).step_by(4) {
            fours[row] = _mm256_shuffle_ps::<0x44>(pairs[row], pairs[row + 2]);
            fours[row + 1] = _mm256_shuffle_ps::<0xEE>(pairs[row], pairs[row + 2]);
            fours[row + 2] = _mm256_shuffle_ps::<0x44>(pairs[row + 1], pairs[row + 3]);
            fours[row + 3] = _mm256_shuffle_ps::<0xEE>(pairs[row + 1], pairs[row + 3]);
        }
        let (upper, lower) = fours.split_at(SQUARE / 2);
        for index in 0..SQUARE / 2 {
            let left = _mm256_permute2f128_ps::<0x20>(upper[index], lower[index]);
            let right = _mm256_permute2f128_ps::<0x31>(upper[index], lower[index]);
            _mm256_storeu_ps(to.as_mut_ptr().add(index * to_stride), left);
            _mm256_storeu_ps(to.as_mut_ptr().add((index + SQUARE / 2) * to_stride), right);
        }
    }
}

/// Functions that differ in their number of rows, the first of their generic arguments, as an array; the
/// second, if any, is the type of weights.
macro_rules! products {
    ($function:ident; $($rows:literal)*) => { [$($function::<$rows>),*] };
    ($function:ident, $weight:ty; $($rows:literal)*) => { [$($function::<$rows, $weight>),*] };
}
pub(super) use products;

/// The sum of eight lanes. Every set adds in this order, so that sums have the same bits on all.
///
/// # Safety
/// The machine has AVX.
#[inline(always)]
pub(super) unsafe fn sum(a: __m256) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// Methods of [`Isa`](super::Isa) that read alike for every width of register. A vector is an array of
/// registers, numbered by `parts`. The set's file has `LANES`, the `WIDTH` of a register, how many `PARTS`
/// of it make a vector, `PANEL` and the trait `Columns`, and its token proves the intrinsics that it names
/// here.
macro_rules! vector_methods {
    (
        parts: $($part:literal)*,
        vector: $vector:ty,
        splat: $splat:path,
        load: $load:path,
        store: $store:path,
        add: $add:path,
        sub: $sub:path,
        mul: $mul:path,
        div: $div:path,
        mul_add: $mul_add:path,
        min: $min:path,
        max: $max:path,
    ) => {
        #[inline(always)]
        fn tile_f32(
            self,
            input: TileRows<'_, f32>,
            panel: &[f32],
            ahead: Ahead<'_>,
            output: TileOutput<'_, f32>,
        ) {
            let operands = Operands::new(input, panel, ahead, output, (PANEL, 1));
            // SAFETY: the token proves the set's instructions; `Operands` has checked the rest.
            unsafe { f32::PRODUCTS[operands.rows - 1](&operands) };
        }

        #[inline(always)]
        fn tile_f16(
            self,
            input: TileRows<'_, f32>,
            panel: &[f16],
            ahead: Ahead<'_>,
            output: TileOutput<'_, f32>,
        ) {
            let operands = Operands::new(input, panel, ahead, output, (PANEL, 1));
            // SAFETY: the token proves the set's instructions; `Operands` has checked the rest.
            unsafe { f16::PRODUCTS[operands.rows - 1](&operands) };
        }

        #[inline(always)]
        fn prefetch(self, at: *const u8, bytes: usize) {
            prefetch(at, bytes);
        }

        #[inline(always)]
        fn transpose_square(
            self,
            from: &[f32],
            from_stride: usize,
            to: &mut [f32],
            to_stride: usize,
        ) {
            // SAFETY: the token proves AVX.
            unsafe { transpose_square(from, from_stride, to, to_stride) };
        }

        #[inline(always)]
        fn splat(self, value: f32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$splat(value); PARTS] }
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> Self::F32 {
            let from = &from[..LANES];
            // SAFETY: the token proves the instruction; `from` holds `LANES` values.
            unsafe { [$($load(from.as_ptr().add($part * WIDTH))),*] }
        }

        #[inline(always)]
        fn store(self, value: Self::F32, to: &mut [f32]) {
            let to = &mut to[..LANES];
            // SAFETY: the token proves the instruction; `to` has room for `LANES` values.
            unsafe { $($store(to.as_mut_ptr().add($part * WIDTH), value[$part]));* }
        }

        #[inline(always)]
        fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($add(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($sub(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($mul(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($div(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($min(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($max(a[$part], b[$part])),*] }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
            // SAFETY: the token proves the instruction.
            unsafe { [$($mul_add(a[$part], b[$part], c[$part])),*] }
        }
    };
}

pub(super) use vector_methods;
