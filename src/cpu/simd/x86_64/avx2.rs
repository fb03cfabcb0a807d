//! x86-64 with AVX2, FMA and F16C: 16 registers of 8 values.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::{bf16, f16};

use super::registers::{sum, transpose_square};
use crate::cpu::gemm::microkernel::{Product, TileRow, multiply, products};
use crate::cpu::gemm::tile::{Ahead, Operands, TileOutput, TileRows};
use crate::cpu::simd::bfloat::{self, Bf16Unit, NoBf16};
use crate::cpu::simd::integers::IntegerUnit;
use crate::cpu::simd::vectors::vector_methods;
use crate::cpu::simd::{Isa, Kernel};

/// Proof that the machine has AVX2, FMA and F16C, and the unit for products of integers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<U>(PhantomData<U>);

/// Integer products with plain AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Pairs;

/// Values in a register.
const WIDTH: usize = 8;

/// A vector is two registers: with as many lanes as AVX-512, sums have the same bits.
const PARTS: usize = 2;
const LANES: usize = PARTS * WIDTH;

/// Two registers of columns by six rows are twelve accumulators; two more hold the panel's step
/// and one the broadcast input. Fewer accumulators do not cover the latency of the two FMA ports.
const REGISTERS: usize = 2;
const PANEL: usize = REGISTERS * WIDTH;
pub(in crate::cpu::simd) const TILE_ROWS: usize = 6;

impl<U: IntegerUnit> Avx2<U> {
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && U::is_detected();
        found.then_some(Self(PhantomData))
    }
}

// SAFETY: `detect`, the only function that makes tokens, has found the instructions and the unit.
unsafe impl<U: IntegerUnit> Isa for Avx2<U> {
    type F32 = [__m256; PARTS];
    const LANES: usize = LANES;
    const PANEL: usize = PANEL;
    const TILE_ROWS: usize = TILE_ROWS;
    const INT8_TILE_ROWS: usize = U::TILE_ROWS;
    const INT8_GROUP: usize = U::GROUP;
    const INT8_OFFSET: u8 = U::OFFSET;
    const BF16_TILE_ROWS: usize = U::Bf16::TILE_ROWS;
    const BF16_GROUP: usize = U::Bf16::GROUP;

    #[inline(always)]
    fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn with_instructions<K: Kernel, I: Isa>(isa: I, kernel: K) -> K::Output {
            kernel.eval(isa)
        }
        // SAFETY: the token proves that the machine has AVX2, FMA and F16C.
        unsafe { with_instructions(self, kernel) }
    }

    vector_methods! {
        parts: 0 1,
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
    }

    #[inline(always)]
    fn without_zero_point(self, sums: &[i32], zero_point: i32, column_sums: &[i32]) -> Self::F32 {
        let (sums, column_sums) = (&sums[..LANES], &column_sums[..LANES]);
        let mut values = self.splat(0.0);
        for (part, value) in values.iter_mut().enumerate() {
            // SAFETY: the token proves AVX2; both slices hold `LANES` values.
            unsafe {
                let column_sums = column_sums.as_ptr().add(part * WIDTH).cast();
                let sums = sums.as_ptr().add(part * WIDTH).cast();
                let excess = _mm256_mullo_epi32(
                    _mm256_set1_epi32(zero_point),
                    _mm256_loadu_si256(column_sums),
                );
                *value = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256(sums), excess));
            }
        }
        values
    }

    #[inline(always)]
    fn store_rounded(self, value: Self::F32, to: &mut [u8]) {
        let to = &mut to[..LANES];
        // SAFETY: the token proves AVX2; `to` has room for `LANES` values.
        unsafe {
            let words =
                _mm256_packs_epi32(_mm256_cvtps_epi32(value[0]), _mm256_cvtps_epi32(value[1]));
            // Packing works within each half of a register: the middle two quarters change places.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let halves = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packus_epi16(halves.0, halves.1));
        }
    }

    #[inline(always)]
    fn keep_if_less(self, a: Self::F32, b: Self::F32, mut value: Self::F32) -> Self::F32 {
        for ((value, a), b) in value.iter_mut().zip(a).zip(b) {
            // SAFETY: the token proves AVX.
            *value = unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b), *value) };
        }
        value
    }

    #[inline(always)]
    fn power_of_two(self, mut n: Self::F32) -> Self::F32 {
        for n in &mut n {
            // SAFETY: the token proves AVX2.
            unsafe {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(*n), _mm256_set1_epi32(127));
                *n = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
            }
        }
        n
    }

    #[inline(always)]
    fn sum(self, a: Self::F32) -> f32 {
        // SAFETY: the token proves AVX.
        unsafe { sum(_mm256_add_ps(a[0], a[1])) }
    }

    #[inline(always)]
    fn largest(self, a: Self::F32) -> f32 {
        // SAFETY: the token proves AVX.
        unsafe {
            let eight = _mm256_max_ps(a[0], a[1]);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn smallest(self, a: Self::F32) -> f32 {
        // SAFETY: the token proves AVX.
        unsafe {
            let eight = _mm256_min_ps(a[0], a[1]);
            let four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// Weights that become two registers of `f32` columns.
///
/// # Safety
/// `PRODUCTS[i]` multiplies `i + 1` rows.
unsafe trait Columns: Sized {
    /// `multiply_floats` for 1 to `TILE_ROWS` rows.
    const PRODUCTS: [Product<f32, Self, f32>; TILE_ROWS];

    /// Reads `WIDTH` weights.
    ///
    /// # Safety
    /// The machine has AVX2 and F16C, and the weights are there.
    unsafe fn load(from: *const Self) -> __m256;
}

// SAFETY: the functions are listed by their number of rows.
unsafe impl Columns for f32 {
    const PRODUCTS: [Product<f32, f32, f32>; TILE_ROWS] =
        products!(multiply_floats, f32; 1 2 3 4 5 6);

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm256_loadu_ps(from) }
    }
}

// SAFETY: the functions are listed by their number of rows.
unsafe impl Columns for f16 {
    const PRODUCTS: [Product<f32, f16, f32>; TILE_ROWS] =
        products!(multiply_floats, f16; 1 2 3 4 5 6);

    #[inline(always)]
    unsafe fn load(from: *const f16) -> __m256 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
}

/// Rows of `f32` sums.
struct Floats<W>(PhantomData<W>);

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl<W: Columns> TileRow for Floats<W> {
    type Input = f32;
    type Weight = W;
    type Sum = f32;
    type Columns = [__m256; REGISTERS];
    type Sums = [__m256; REGISTERS];
    const GROUP: usize = 1;
    const STEP: usize = PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_setzero_ps(); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const W) -> Self::Columns {
        // SAFETY: guaranteed by the caller.
        unsafe { [W::load(step), W::load(step.add(WIDTH))] }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, group: *const f32, columns: Self::Columns) -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let value = _mm256_broadcast_ss(&*group);
            [
                _mm256_fmadd_ps(value, columns[0], sums[0]),
                _mm256_fmadd_ps(value, columns[1], sums[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, output: *mut f32, accumulate: bool) {
        for (vector, sum) in sums.into_iter().enumerate() {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let output = output.add(vector * WIDTH);
                let previous =
                    if accumulate { _mm256_loadu_ps(output) } else { _mm256_setzero_ps() };
                _mm256_storeu_ps(output, _mm256_add_ps(previous, sum));
            }
        }
    }
}

/// # Safety
/// The machine has AVX2, FMA and F16C; [`multiply`]'s other conditions.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply_floats<const ROWS: usize, W: Columns>(operands: &Operands<f32, W, f32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Floats<W>>(operands) };
}

/// Instructions that add products of groups of four bytes to sums.
pub(super) trait Dot {
    /// # Safety
    /// The machine has AVX2 and the instructions that the implementation uses.
    unsafe fn add(sum: __m256i, group: __m256i, columns: __m256i) -> __m256i;
}

impl Dot for Pairs {
    /// Adds pairs first: two products of 8 by 7 bits, at most 2 · 255 · 63, fit the 16 bits in which
    /// `vpmaddubsw` adds them.
    #[inline(always)]
    unsafe fn add(sum: __m256i, group: __m256i, columns: __m256i) -> __m256i {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let pairs = _mm256_maddubs_epi16(group, columns);
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}

/// Rows of integer sums. Weights are between −63 and 63.
pub(super) struct Integers<D>(PhantomData<D>);

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl<D: Dot> TileRow for Integers<D> {
    type Input = u8;
    type Weight = i8;
    type Sum = i32;
    type Columns = [__m256i; REGISTERS];
    type Sums = [__m256i; REGISTERS];
    const GROUP: usize = 4;
    const STEP: usize = 4 * PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_setzero_si256(); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const i8) -> Self::Columns {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm256_loadu_si256(step.cast()), _mm256_loadu_si256(step.add(4 * WIDTH).cast())] }
    }

    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, group: *const u8, columns: Self::Columns) -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let group = _mm256_set1_epi32(group.cast::<i32>().read_unaligned());
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = D::add(*sum, group, columns);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, output: *mut i32, accumulate: bool) {
        for (vector, sum) in sums.into_iter().enumerate() {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let output = output.add(vector * WIDTH).cast();
                let previous =
                    if accumulate { _mm256_loadu_si256(output) } else { _mm256_setzero_si256() };
                _mm256_storeu_si256(output, _mm256_add_epi32(previous, sum));
            }
        }
    }
}

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for Pairs {
    const TILE_ROWS: usize = TILE_ROWS;
    type Bf16 = NoBf16;

    fn is_detected() -> bool {
        true
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { PAIRS_PRODUCTS[operands.rows - 1](operands) };
    }
}

/// Integer products for 1 to `TILE_ROWS` rows.
const PAIRS_PRODUCTS: [Product<u8, i8, i32>; TILE_ROWS] = products!(multiply_pairs; 1 2 3 4 5 6);

/// # Safety
/// The machine has AVX2; [`multiply`]'s other conditions.
#[target_feature(enable = "avx2")]
unsafe fn multiply_pairs<const ROWS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Integers<Pairs>>(operands) };
}
