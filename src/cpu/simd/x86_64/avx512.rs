//! x86-64 with AVX-512: 32 registers of 16 values.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use half::{bf16, f16};

use super::avx512bf16::DotBf16;
use super::registers::{sum, transpose_square};
use crate::cpu::gemm::microkernel::{Product, TileRow, multiply, multiply_and_keep, products};
use crate::cpu::gemm::tile::{Ahead, Operands, TileOutput, TileRows, kept};
use crate::cpu::simd::bfloat::{self, Bf16Unit, NoBf16};
use crate::cpu::simd::integers::IntegerUnit;
use crate::cpu::simd::vectors::vector_methods;
use crate::cpu::simd::{Isa, Kernel};

/// Proof that the machine has AVX-512F and BW, which imply AVX2 and FMA, and the unit for products of
/// integers.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<U>(PhantomData<U>);

/// Integer products with AVX-512BW but without VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Pairs;

/// Integer products with AVX-512 VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Vnni;

/// Values of a register, which is a vector.
pub(super) const WIDTH: usize = 16;
const PARTS: usize = 1;
const LANES: usize = PARTS * WIDTH;

/// Two registers of columns by twelve rows are 24 accumulators; that leaves registers for the panel's
/// step and the broadcast input, and needs half the loads of the AVX2 tile for the same arithmetic.
pub(super) const REGISTERS: usize = 2;
pub(in crate::cpu::simd) const PANEL: usize = REGISTERS * WIDTH;
pub(super) const TILE_ROWS: usize = 12;

impl<U: IntegerUnit> Avx512<U> {
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && U::is_detected();
        found.then_some(Self(PhantomData))
    }
}

// SAFETY: `detect`, the only function that makes tokens, has found the instructions and the unit.
unsafe impl<U: IntegerUnit> Isa for Avx512<U> {
    type F32 = [__m512; PARTS];
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
        #[target_feature(enable = "avx512f,avx512bw")]
        fn with_instructions<K: Kernel, I: Isa>(isa: I, kernel: K) -> K::Output {
            kernel.eval(isa)
        }
        // SAFETY: the token proves that the machine has AVX-512F and BW.
        unsafe { with_instructions(self, kernel) }
    }

    vector_methods! {
        parts: 0,
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
    }

    /// On Zen 4, converting the weights takes a tenth of a tile's time.
    #[inline(always)]
    fn tile_f16_widening<'w>(
        self,
        input: TileRows<'_, f32>,
        panel: &[f16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
        widened: &'w mut [MaybeUninit<f32>],
    ) -> Option<&'w [f32]> {
        let operands = Operands::new(input, panel, ahead, output, (PANEL, 1));
        let operands = operands.keeping(panel.len(), widened);
        // SAFETY: the token proves AVX-512F; `Operands` has checked the rest. The tile keeps each weight.
        unsafe {
            WIDENING_PRODUCTS[operands.rows - 1](&operands);
            Some(kept(widened))
        }
    }

    #[inline(always)]
    fn without_zero_point(self, sums: &[i32], zero_point: i32, column_sums: &[i32]) -> Self::F32 {
        let (sums, column_sums) = (&sums[..LANES], &column_sums[..LANES]);
        // SAFETY: the token proves AVX-512F; both slices hold `LANES` values.
        unsafe {
            let excess = _mm512_mullo_epi32(
                _mm512_set1_epi32(zero_point),
                _mm512_loadu_si512(column_sums.as_ptr().cast()),
            );
            let sums = _mm512_loadu_si512(sums.as_ptr().cast());
            [_mm512_cvtepi32_ps(_mm512_sub_epi32(sums, excess))]
        }
    }

    #[inline(always)]
    fn store_rounded(self, [value]: Self::F32, to: &mut [u8]) {
        let to = &mut to[..LANES];
        // SAFETY: the token proves AVX-512F; `to` has room for `LANES` values.
        unsafe {
            let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
    }

    #[inline(always)]
    fn keep_if_less(self, [a]: Self::F32, [b]: Self::F32, [value]: Self::F32) -> Self::F32 {
        // SAFETY: the token proves AVX-512F.
        unsafe { [_mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), value)] }
    }

    #[inline(always)]
    fn power_of_two(self, [n]: Self::F32) -> Self::F32 {
        // SAFETY: the token proves AVX-512F.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))]
        }
    }

    #[inline(always)]
    fn sum(self, [a]: Self::F32) -> f32 {
        // SAFETY: the token proves AVX-512F, which implies AVX.
        unsafe {
            let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a)));
            sum(_mm256_add_ps(_mm512_castps512_ps256(a), upper))
        }
    }

    #[inline(always)]
    fn smallest(self, [a]: Self::F32) -> f32 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_reduce_min_ps(a) }
    }

    #[inline(always)]
    fn largest(self, [a]: Self::F32) -> f32 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_reduce_max_ps(a) }
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
    /// The machine has AVX-512F, and the weights are there.
    unsafe fn load(from: *const Self) -> __m512;
}

// SAFETY: the functions are listed by their number of rows.
unsafe impl Columns for f32 {
    const PRODUCTS: [Product<f32, f32, f32>; TILE_ROWS] =
        products!(multiply_floats, f32; 1 2 3 4 5 6 7 8 9 10 11 12);

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_loadu_ps(from) }
    }
}

// SAFETY: the functions are listed by their number of rows.
unsafe impl Columns for f16 {
    const PRODUCTS: [Product<f32, f16, f32>; TILE_ROWS] =
        products!(multiply_floats, f16; 1 2 3 4 5 6 7 8 9 10 11 12);

    #[inline(always)]
    unsafe fn load(from: *const f16) -> __m512 {
        // SAFETY: guaranteed by the caller.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
}

/// Rows of `f32` sums.
struct Floats<W>(PhantomData<W>);

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl<W: Columns> TileRow for Floats<W> {
    type Input = f32;
    type Weight = W;
    type Sum = f32;
    type Columns = [__m512; REGISTERS];
    type Sums = [__m512; REGISTERS];
    const GROUP: usize = 1;
    const STEP: usize = PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm512_setzero_ps(); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const W) -> Self::Columns {
        // SAFETY: guaranteed by the caller.
        unsafe { [W::load(step), W::load(step.add(WIDTH))] }
    }

    #[inline(always)]
    unsafe fn keep(columns: Self::Columns, to: *mut f32) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            _mm512_storeu_ps(to, columns[0]);
            _mm512_storeu_ps(to.add(WIDTH), columns[1]);
        }
    }

    #[inline(always)]
    unsafe fn add(sums: Self::Sums, group: *const f32, columns: Self::Columns) -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let value = _mm512_set1_ps(*group);
            [
                _mm512_fmadd_ps(value, columns[0], sums[0]),
                _mm512_fmadd_ps(value, columns[1], sums[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, output: *mut f32, accumulate: bool) {
        // SAFETY: guaranteed by the caller.
        unsafe { store(sums, output, accumulate) };
    }
}

/// Stores the sums of a row, or adds them to the output.
///
/// # Safety
/// The machine has AVX-512F, and the output has room for them.
#[inline(always)]
pub(super) unsafe fn store(sums: [__m512; REGISTERS], output: *mut f32, accumulate: bool) {
    for (vector, sum) in sums.into_iter().enumerate() {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let output = output.add(vector * WIDTH);
            let previous = if accumulate { _mm512_loadu_ps(output) } else { _mm512_setzero_ps() };
            _mm512_storeu_ps(output, _mm512_add_ps(previous, sum));
        }
    }
}

/// # Safety
/// The machine has AVX-512F; [`multiply`]'s other conditions.
#[target_feature(enable = "avx512f")]
unsafe fn multiply_floats<const ROWS: usize, W: Columns>(operands: &Operands<f32, W, f32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Floats<W>>(operands) };
}

/// Products of `f16` weights that keep the widened weights, for 1 to `TILE_ROWS` rows.
const WIDENING_PRODUCTS: [Product<f32, f16, f32>; TILE_ROWS] =
    products!(multiply_and_widen; 1 2 3 4 5 6 7 8 9 10 11 12);

/// # Safety
/// The machine has AVX-512F; [`multiply_and_keep`]'s other conditions.
#[target_feature(enable = "avx512f")]
unsafe fn multiply_and_widen<const ROWS: usize>(operands: &Operands<f32, f16, f32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply_and_keep::<ROWS, true, Floats<f16>>(operands) };
}

/// Rows of integer sums, with VNNI or without. Weights are between −63 and 63.
struct Integers<const VNNI: bool>;

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl<const VNNI: bool> TileRow for Integers<VNNI> {
    type Input = u8;
    type Weight = i8;
    type Sum = i32;
    type Columns = [__m512i; REGISTERS];
    type Sums = [__m512i; REGISTERS];
    const GROUP: usize = 4;
    const STEP: usize = 4 * PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm512_setzero_si512(); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const i8) -> Self::Columns {
        // SAFETY: guaranteed by the caller.
        unsafe { [_mm512_loadu_si512(step.cast()), _mm512_loadu_si512(step.add(4 * WIDTH).cast())] }
    }

    /// Without VNNI adds pairs first: two products of 8 by 7 bits, at most 2 · 255 · 63, fit the 16 bits
    /// in which `vpmaddubsw` adds them. `vpdpbusd` adds four products in 32 bits.
    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, group: *const u8, columns: Self::Columns) -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let group = _mm512_set1_epi32(group.cast::<i32>().read_unaligned());
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = if VNNI {
                    _mm512_dpbusd_epi32(*sum, group, columns)
                } else {
                    let pairs = _mm512_maddubs_epi16(group, columns);
                    _mm512_add_epi32(*sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
                };
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
                    if accumulate { _mm512_loadu_si512(output) } else { _mm512_setzero_si512() };
                _mm512_storeu_si512(output, _mm512_add_epi32(previous, sum));
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

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for Vnni {
    const TILE_ROWS: usize = TILE_ROWS;
    type Bf16 = DotBf16;

    fn is_detected() -> bool {
        is_x86_feature_detected!("avx512vnni")
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { VNNI_PRODUCTS[operands.rows - 1](operands) };
    }
}

/// Integer products for 1 to `TILE_ROWS` rows, without VNNI.
const PAIRS_PRODUCTS: [Product<u8, i8, i32>; TILE_ROWS] =
    products!(multiply_pairs; 1 2 3 4 5 6 7 8 9 10 11 12);

/// Integer products for 1 to `TILE_ROWS` rows, with VNNI.
const VNNI_PRODUCTS: [Product<u8, i8, i32>; TILE_ROWS] =
    products!(multiply_fours; 1 2 3 4 5 6 7 8 9 10 11 12);

/// # Safety
/// The machine has AVX-512F and BW; [`multiply`]'s other conditions.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn multiply_pairs<const ROWS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Integers<false>>(operands) };
}

/// # Safety
/// The machine has AVX-512F and VNNI; [`multiply`]'s other conditions.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn multiply_fours<const ROWS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Integers<true>>(operands) };
}
