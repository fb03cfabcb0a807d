//! What the x86-64 sets share: the methods that are one intrinsic of either width, and prefetching.

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

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

/// Methods of [`Isa`](super::Isa) that read alike for every width of vector. The set's file has
/// `LANES`, `PANEL`, the trait `Columns` and `INTEGER_PRODUCTS`, and its token proves the intrinsics
/// that it names here.
macro_rules! vector_methods {
    (
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
            let whole = halves.len() - halves.len() % LANES;
            for at in (0..whole).step_by(LANES) {
                // SAFETY: the token proves the instructions; `LANES` values from `at` on lie in both
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
        fn splat(self, value: f32) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $splat(value) }
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> $vector {
            let from = &from[..LANES];
            // SAFETY: the token proves the instruction; `from` holds `LANES` values.
            unsafe { $load(from.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, value: $vector, to: &mut [f32]) {
            let to = &mut to[..LANES];
            // SAFETY: the token proves the instruction; `to` has room for `LANES` values.
            unsafe { $store(to.as_mut_ptr(), value) }
        }

        #[inline(always)]
        fn add(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $add(a, b) }
        }

        #[inline(always)]
        fn sub(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $sub(a, b) }
        }

        #[inline(always)]
        fn mul(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $mul(a, b) }
        }

        #[inline(always)]
        fn div(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $div(a, b) }
        }

        #[inline(always)]
        fn min(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $min(a, b) }
        }

        #[inline(always)]
        fn max(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $max(a, b) }
        }

        #[inline(always)]
        fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
            // SAFETY: the token proves the instruction.
            unsafe { $mul_add(a, b, c) }
        }
    };
}

pub(super) use vector_methods;
