//! x86-64 with AVX-512F: 32 registers of 16 values.

use std::arch::x86_64::*;

use half::f16;

use super::x86::{Product, prefetch, vector_methods};
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

    vector_methods! {
        vector: __m512,
        splat: _mm512_set1_ps,
        load: _mm512_loadu_ps,
        store: _mm512_storeu_ps,
        add: _mm512_add_ps,
        sub: _mm512_sub_ps,
        mul: _mm512_mul_ps,
        div: _mm512_div_ps,
        mul_add: _mm512_fmadd_ps,
        min: _mm512_min_ps,
        max: _mm512_max_ps,
        load_halves: _mm256_loadu_si256,
        widen_halves: _mm512_cvtph_ps,
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
