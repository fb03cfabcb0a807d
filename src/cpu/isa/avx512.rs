//! x86-64 with AVX-512F: 32 registers of 16 values.

use std::arch::x86_64::*;

use half::f16;

use super::avx2::prefetch;
use super::{Isa, Kernel, Tile, TileOutput};

/// Proof that the machine has AVX-512F, which implies AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

const LANES: usize = 16;

/// Two vectors of columns by twelve rows are 24 accumulators; that leaves registers for the panel's
/// step and the broadcast input, and needs half the loads of the AVX2 tile for the same arithmetic.
const VECTORS: usize = 2;
const PANEL: usize = VECTORS * LANES;
const TILE_ROWS: usize = 12;

impl Avx512 {
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Isa for Avx512 {
    type F32 = __m512;
    const LANES: usize = LANES;
    const PANEL: usize = PANEL;
    const TILE_ROWS: usize = TILE_ROWS;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f")]
        fn with_instructions<K: Kernel>(isa: Avx512, kernel: K) -> K::Output {
            kernel.run(isa)
        }
        // SAFETY: the token proves that the machine has AVX-512F.
        unsafe { with_instructions(self, kernel) }
    }

    #[inline(always)]
    fn tile(self, tile: Tile<'_>, output: TileOutput<'_>) {
        let (rows, depth) = (tile.rows(), tile.depth());
        let panel = tile.panel(PANEL).as_ptr();
        let input = (tile.input().as_ptr(), tile.input_stride());
        let (stride, accumulate) = (output.stride(), output.accumulate());
        let output = (output.values(rows, PANEL).as_mut_ptr(), stride);
        // SAFETY: the token proves AVX-512F. `Tile::new` has checked that the input holds `rows`
        // rows of `depth` at its stride, `panel` that the panel is `depth` steps of `PANEL`,
        // `values` that the output holds `rows` runs of `PANEL` at its stride.
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
            // SAFETY: the token proves AVX-512F; `at` and the next fifteen values lie in both slices.
            unsafe {
                let sixteen = _mm256_loadu_si256(halves.as_ptr().add(at).cast());
                _mm512_storeu_ps(wide.as_mut_ptr().add(at), _mm512_cvtph_ps(sixteen));
            }
        }
        for (wide, half) in wide[whole..].iter_mut().zip(&halves[whole..]) {
            *wide = half.to_f32();
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..LANES];
        // SAFETY: the token proves AVX-512F; `from` holds sixteen values.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, value: __m512, to: &mut [f32]) {
        let to = &mut to[..LANES];
        // SAFETY: the token proves AVX-512F; `to` has room for sixteen values.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn keep_if_less(self, a: __m512, b: __m512, value: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), value) }
    }

    #[inline(always)]
    fn power_of_two(self, n: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    fn largest(self, a: __m512) -> f32 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_reduce_max_ps(a) }
    }
}

type Product = unsafe fn((*const f32, usize), usize, *const f32, (*mut f32, usize), bool);

/// [`product`] for 1 to `TILE_ROWS` rows.
const PRODUCTS: [Product; TILE_ROWS] = [
    product::<1>,
    product::<2>,
    product::<3>,
    product::<4>,
    product::<5>,
    product::<6>,
    product::<7>,
    product::<8>,
    product::<9>,
    product::<10>,
    product::<11>,
    product::<12>,
];

/// `ROWS` rows times one panel, stored or added to the output. Each product is one chain of FMAs
/// along the depth, so that its bits do not depend on `ROWS`.
///
/// # Safety
/// The machine has AVX-512F; `input` holds `ROWS` rows of `depth` values `input_stride` apart,
/// `panel` holds `depth` steps of `PANEL`, and `output` has room for `ROWS` runs of `PANEL` values
/// `output_stride` apart.
#[target_feature(enable = "avx512f")]
unsafe fn product<const ROWS: usize>(
    (input, input_stride): (*const f32, usize),
    depth: usize,
    panel: *const f32,
    (output, output_stride): (*mut f32, usize),
    accumulate: bool,
) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    for k in 0..depth {
        // SAFETY: `k < depth`, so the loads stay in the rows and in the panel (caller).
        unsafe {
            let step = panel.add(k * PANEL);
            let columns = [_mm512_loadu_ps(step), _mm512_loadu_ps(step.add(LANES))];
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_set1_ps(*input.add(row * input_stride + k));
                sums[0] = _mm512_fmadd_ps(value, columns[0], sums[0]);
                sums[1] = _mm512_fmadd_ps(value, columns[1], sums[1]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the output has room for `ROWS` runs of `PANEL` values (caller).
        unsafe {
            let run = output.add(row * output_stride);
            for (vector, &sum) in sums.iter().enumerate() {
                let run = run.add(vector * LANES);
                let total = if accumulate { _mm512_add_ps(_mm512_loadu_ps(run), sum) } else { sum };
                _mm512_storeu_ps(run, total);
            }
        }
    }
}
