//! x86-64 with AVX2, FMA and F16C: 16 registers of 8 values.

use std::arch::x86_64::*;

use half::f16;

use super::x86::{Product, prefetch, vector_methods};
use super::{Isa, Kernel, Tile, TileOutput};

/// Proof that the machine has AVX2, FMA and F16C.
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

    vector_methods! {
        vector: __m256,
        splat: _mm256_set1_ps,
        load: _mm256_loadu_ps,
        store: _mm256_storeu_ps,
        add: _mm256_add_ps,
        sub: _mm256_sub_ps,
        mul: _mm256_mul_ps,
        div: _mm256_div_ps,
        mul_add: _mm256_fmadd_ps,
        min: _mm256_min_ps,
        max: _mm256_max_ps,
        load_halves: _mm_loadu_si128,
        widen_halves: _mm256_cvtph_ps,
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
