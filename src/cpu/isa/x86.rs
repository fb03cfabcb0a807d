//! What the x86-64 sets share: the methods that are one intrinsic of either width, and prefetching.

use std::arch::x86_64::*;

use super::tile::Operands;

/// A tile of some number of rows: see `multiply_floats` and `multiply_integers` of each set for what
/// the caller must see to.
pub(super) type Product<A, W, S> = unsafe fn(&Operands<A, W, S>);

/// Asks for `LINES` cache lines from `at` on to be brought into L2, on any x86-64. They need not be
/// there.
#[inline(always)]
pub(super) fn prefetch<const LINES: usize>(at: *const u8) {
    for line in 0..LINES {
        // SAFETY: every x86-64 has SSE; prefetching changes nothing but the caches and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(line * 64).cast()) };
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
        load_halves: $load_halves:path,
        widen_halves: $widen_halves:path,
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
        fn widen(self, halves: &[f16], wide: &mut [f32]) {
            assert_eq!(halves.len(), wide.len(), "another number of values");
            let whole = halves.len() - halves.len() % WIDTH;
            for at in (0..whole).step_by(WIDTH) {
                // SAFETY: the token proves the instructions; `WIDTH` values from `at` on lie in both
                // slices.
                unsafe {
                    let halves = $load_halves(halves.as_ptr().add(at).cast());
                    $store(wide.as_mut_ptr().add(at), $widen_halves(halves));
                }
            }
            for (wide, half) in wide[whole..].iter_mut().zip(&halves[whole..]) {
                *wide = half.to_f32();
            }
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
