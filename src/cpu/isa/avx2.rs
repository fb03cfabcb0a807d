//! x86-64 with AVX2, FMA and F16C: 16 registers of 8 values.

use std::arch::x86_64::*;

use half::f16;

use super::{Isa, Kernel, Tile, TileOutput};

/// Proof that the machine has AVX2, FMA and F16C, which came with one another.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

const LANES: usize = 8;

/// Two vectors of columns by six rows are twelve accumulators; two registers hold the panel's step
/// and one the broadcast input. Fewer accumulators do not cover the latency of the two FMA ports.
const VECTORS: usize = 2;
const PANEL: usize = VECTORS * LANES;
const TILE_ROWS: usize = 6;

impl Avx2 {
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

impl Isa for Avx2 {
    type F32 = __m256;
    const LANES: usize = LANES;
    const PANEL: usize = PANEL;
    const TILE_ROWS: usize = TILE_ROWS;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn with_instructions<K: Kernel>(isa: Avx2, kernel: K) -> K::Output {
            kernel.run(isa)
        }
        // SAFETY: the token proves that the machine has AVX2, FMA and F16C.
        unsafe { with_instructions(self, kernel) }
    }

    #[inline(always)]
    fn tile(self, tile: Tile<'_>, output: TileOutput<'_>) {
        let (rows, depth) = (tile.rows(), tile.depth());
        let panel = tile.panel(PANEL).as_ptr();
        let input = (tile.input().as_ptr(), tile.input_stride());
        let (stride, accumulate) = (output.stride(), output.accumulate());
        let output = (output.values(rows, PANEL).as_mut_ptr(), stride);
        // SAFETY: the token proves AVX2 and FMA. `Tile::new` has checked that the input holds
        // `rows` rows of `depth` at its stride, `panel` that the panel is `depth` steps of `PANEL`,
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
            // SAFETY: the token proves F16C; `at` and the next seven values lie in both slices.
            unsafe {
                let eight = _mm_loadu_si128(halves.as_ptr().add(at).cast());
                _mm256_storeu_ps(wide.as_mut_ptr().add(at), _mm256_cvtph_ps(eight));
            }
        }
        for (wide, half) in wide[whole..].iter_mut().zip(&halves[whole..]) {
            *wide = half.to_f32();
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        let from = &from[..LANES];
        // SAFETY: the token proves AVX; `from` holds eight values.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, value: __m256, to: &mut [f32]) {
        let to = &mut to[..LANES];
        // SAFETY: the token proves AVX; `to` has room for eight values.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the token proves FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn keep_if_less(self, a: __m256, b: __m256, value: __m256) -> __m256 {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b), value) }
    }

    #[inline(always)]
    fn power_of_two(self, n: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        // SAFETY: the token proves AVX.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest(self, a: __m256) -> f32 {
        // SAFETY: the token proves AVX.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// Asks for values to be brought into L2, on any x86-64.
#[inline(always)]
pub(super) fn prefetch<T>(values: &[T]) {
    for line in values.chunks(64 / size_of::<T>()) {
        // SAFETY: every x86-64 has SSE; prefetching changes nothing but the caches.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
}

type Product = unsafe fn((*const f32, usize), usize, *const f32, (*mut f32, usize), bool);

/// [`product`] for 1 to `TILE_ROWS` rows.
const PRODUCTS: [Product; TILE_ROWS] =
    [product::<1>, product::<2>, product::<3>, product::<4>, product::<5>, product::<6>];

/// `ROWS` rows times one panel, stored or added to the output. Each product is one chain of FMAs along
/// the depth, so that its bits do not depend on `ROWS`.
///
/// # Safety
/// The machine has AVX2 and FMA; `input` holds `ROWS` rows of `depth` values `input_stride` apart,
/// `panel` holds `depth` steps of `PANEL`, and `output` has room for `ROWS` runs of `PANEL` values
/// `output_stride` apart.
#[target_feature(enable = "avx2,fma")]
unsafe fn product<const ROWS: usize>(
    (input, input_stride): (*const f32, usize),
    depth: usize,
    panel: *const f32,
    (output, output_stride): (*mut f32, usize),
    accumulate: bool,
) {
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    for k in 0..depth {
        // SAFETY: `k < depth`, so the loads stay in the rows and in the panel (caller).
        unsafe {
            let step = panel.add(k * PANEL);
            let columns = [_mm256_loadu_ps(step), _mm256_loadu_ps(step.add(LANES))];
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = _mm256_broadcast_ss(&*input.add(row * input_stride + k));
                sums[0] = _mm256_fmadd_ps(value, columns[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(value, columns[1], sums[1]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the output has room for `ROWS` runs of `PANEL` values (caller).
        unsafe {
            let run = output.add(row * output_stride);
            for (vector, &sum) in sums.iter().enumerate() {
                let run = run.add(vector * LANES);
                let total = if accumulate { _mm256_add_ps(_mm256_loadu_ps(run), sum) } else { sum };
                _mm256_storeu_ps(run, total);
            }
        }
    }
}
