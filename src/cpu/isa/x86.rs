//! What the x86-64 sets share: the methods that are one intrinsic of either width, and prefetching.

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

/// Some rows, with their stride, times one panel of a depth, to an output with its stride, replaced or
/// added to. See `product` of each set for what the caller must see to.
pub(super) type Product =
    unsafe fn((*const f32, usize), usize, *const f32, (*mut f32, usize), bool);

/// Asks for values to be brought into L2, on any x86-64.
#[inline(always)]
pub(super) fn prefetch<T>(values: &[T]) {
    for line in values.chunks(64 / size_of::<T>()) {
        // SAFETY: every x86-64 has SSE; prefetching changes nothing but the caches.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
}

/// Methods of [`Isa`](super::Isa) that read alike for every width of vector. The set's file has
/// `LANES`, `PANEL` and `PRODUCTS`, and its token proves the intrinsics that it names here.
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
        fn tile(self, tile: Tile<'_>, output: TileOutput<'_>) {
            let (rows, depth) = (tile.rows(), tile.depth());
            let panel = tile.panel(PANEL).as_ptr();
            let input = (tile.input().as_ptr(), tile.input_stride());
            let (stride, accumulate) = (output.stride(), output.accumulate());
            let output = (output.values(rows, PANEL).as_mut_ptr(), stride);
            // SAFETY: the token proves the set's instructions. `Tile::new` has checked that the
            // input holds `rows` rows of `depth` at its stride, `panel` that the panel is `depth`
            // steps of `PANEL`, `values` that the output holds `rows` runs of `PANEL` at its stride.
            unsafe { PRODUCTS[rows - 1](input, depth, panel, output, accumulate) };
        }

        #[inline(always)]
        fn prefetch<T>(self, values: &[T]) {
            prefetch(values);
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
