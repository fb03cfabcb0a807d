//! aarch64 with NEON, which every such machine has: 32 registers of 4 values.

use std::arch::aarch64::*;
use std::arch::asm;
use std::marker::PhantomData;

use half::{bf16, f16};

use crate::cpu::gemm::microkernel::{Product, TileRow, multiply, products};
use crate::cpu::gemm::tile::{Ahead, Operands, TileOutput, TileRows, fits};
use crate::cpu::simd::bfloat::{self, Bf16Unit, NoBf16};
use crate::cpu::simd::integers::IntegerUnit;
use crate::cpu::simd::vectors::vector_methods;
use crate::cpu::simd::{Isa, Kernel, SQUARE};

/// Proof that the machine has the unit for products of integers.
#[derive(Clone, Copy)]
pub(crate) struct Neon<U>(PhantomData<U>);

/// Integer products with plain NEON.
#[derive(Clone, Copy)]
pub(crate) struct Widening;

/// Values in a register.
const WIDTH: usize = 4;

/// A vector is four registers: with as many lanes as AVX-512, sums have the same bits.
const PARTS: usize = 4;
const LANES: usize = PARTS * WIDTH;

/// Four registers of columns by six rows are 24 accumulators, which leaves registers for the panel's step
/// and the input.
pub(in crate::cpu::simd) const REGISTERS: usize = 4;
pub(in crate::cpu::simd) const PANEL: usize = REGISTERS * WIDTH;
pub(in crate::cpu::simd) const TILE_ROWS: usize = 6;

impl<U: IntegerUnit> Neon<U> {
    pub fn detect() -> Option<Self> {
        // The order of bytes in memory is that of groups in registers.
        let found = cfg!(target_endian = "little") && U::is_detected();
        found.then_some(Self(PhantomData))
    }
}

// SAFETY: every aarch64 has NEON, and `detect`, the only function that makes tokens, has found the unit.
unsafe impl<U: IntegerUnit> Isa for Neon<U> {
    type F32 = [float32x4_t; PARTS];
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
        kernel.eval(self)
    }

    vector_methods! {
        parts: 0 1 2 3,
        splat: vdupq_n_f32,
        load: vld1q_f32,
        store: vst1q_f32,
        add: vaddq_f32,
        sub: vsubq_f32,
        mul: vmulq_f32,
        div: vdivq_f32,
        mul_add: mul_add,
        min: min,
        max: max,
    }

    #[inline(always)]
    fn without_zero_point(self, sums: &[i32], zero_point: i32, column_sums: &[i32]) -> Self::F32 {
        let (sums, column_sums) = (&sums[..LANES], &column_sums[..LANES]);
        std::array::from_fn(|part| {
            // SAFETY: both slices hold `LANES` values.
            unsafe {
                let column_sums = vld1q_s32(column_sums.as_ptr().add(part * WIDTH));
                let sums = vld1q_s32(sums.as_ptr().add(part * WIDTH));
                vcvtq_f32_s32(vmlsq_s32(sums, column_sums, vdupq_n_s32(zero_point)))
            }
        })
    }

    #[inline(always)]
    fn store_rounded(self, value: Self::F32, to: &mut [u8]) {
        let to = &mut to[..LANES];
        // SAFETY: `to` has room for `LANES` values.
        unsafe {
            let words = value.map(|value| vmovn_u32(vcvtnq_u32_f32(value)));
            let left = vmovn_u16(vcombine_u16(words[0], words[1]));
            let right = vmovn_u16(vcombine_u16(words[2], words[3]));
            let bytes = vsubq_u8(vcombine_u8(left, right), vdupq_n_u8(U::OFFSET));
            vst1q_u8(to.as_mut_ptr(), bytes);
        }
    }

    #[inline(always)]
    fn keep_if_less(self, a: Self::F32, b: Self::F32, value: Self::F32) -> Self::F32 {
        // SAFETY: every aarch64 has NEON.
        std::array::from_fn(|part| unsafe {
            let bits = vreinterpretq_u32_f32(value[part]);
            vreinterpretq_f32_u32(vandq_u32(vcltq_f32(a[part], b[part]), bits))
        })
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::F32) -> Self::F32 {
        // SAFETY: every aarch64 has NEON.
        n.map(|n| unsafe {
            let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        })
    }

    /// Adds in the order in which the x86-64 sets do.
    #[inline(always)]
    fn sum(self, a: Self::F32) -> f32 {
        // SAFETY: every aarch64 has NEON.
        unsafe {
            let four = vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3]));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }

    #[inline(always)]
    fn largest(self, a: Self::F32) -> f32 {
        // SAFETY: every aarch64 has NEON.
        unsafe { vmaxvq_f32(max(max(a[0], a[2]), max(a[1], a[3]))) }
    }

    #[inline(always)]
    fn smallest(self, a: Self::F32) -> f32 {
        // SAFETY: every aarch64 has NEON.
        unsafe { vminvq_f32(min(min(a[0], a[2]), min(a[1], a[3]))) }
    }
}

/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    // SAFETY: guaranteed by the caller.
    unsafe { vfmaq_f32(c, a, b) }
}

/// Returns the smaller of each pair of values, and `b` where one is NaN, as on x86-64.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: guaranteed by the caller.
    unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
}

/// Returns the larger of each pair of values, and `b` where one is NaN, as on x86-64.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: guaranteed by the caller.
    unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
}

/// [`Isa::transpose_square`], by squares of four.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
unsafe fn transpose_square(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    assert!(fits(from.len(), SQUARE, from_stride, SQUARE), "the rows reach past their slice");
    assert!(to_stride >= SQUARE, "the columns overlap");
    assert!(fits(to.len(), SQUARE, to_stride, SQUARE), "the columns reach past their slice");
    for (row, column) in [(0, 0), (0, WIDTH), (WIDTH, 0), (WIDTH, WIDTH)] {
        // SAFETY: the machine has NEON (caller); row `index` of either slice is in it (above).
        unsafe {
            let rows: [float64x2_t; WIDTH] = {
                let row = |index: usize| {
                    vld1q_f32(from.as_ptr().add((row + index) * from_stride + column))
                };
                let (upper, lower) = ((row(0), row(1)), (row(2), row(3)));
                [
                    vtrn1q_f32(upper.0, upper.1),
                    vtrn2q_f32(upper.0, upper.1),
                    vtrn1q_f32(lower.0, lower.1),
                    vtrn2q_f32(lower.0, lower.1),
                ]
                .map(|pairs| vreinterpretq_f64_f32(pairs))
            };
            let columns = [
                vtrn1q_f64(rows[0], rows[2]),
                vtrn1q_f64(rows[1], rows[3]),
                vtrn2q_f64(rows[0], rows[2]),
                vtrn2q_f64(rows[1], rows[3]),
            ];
            for (index, values) in columns.into_iter().enumerate() {
                let to = to.as_mut_ptr().add((column + index) * to_stride + row);
                vst1q_f32(to, vreinterpretq_f32_f64(values));
            }
        }
    }
}

/// Weights that become four registers of `f32` columns.
///
/// # Safety
/// `PRODUCTS[i]` multiplies `i + 1` rows.
unsafe trait Columns: Sized {
    /// `multiply_floats` for 1 to `TILE_ROWS` rows.
    const PRODUCTS: [Product<f32, Self, f32>; TILE_ROWS];

    /// Reads `WIDTH` weights.
    ///
    /// # Safety
    /// The weights are there.
    unsafe fn load(from: *const Self) -> float32x4_t;
}

// SAFETY: the functions are listed by their number of rows.
unsafe impl Columns for f32 {
    const PRODUCTS: [Product<f32, f32, f32>; TILE_ROWS] =
        products!(multiply_floats, f32; 1 2 3 4 5 6);

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: guaranteed by the caller.
        unsafe { vld1q_f32(from) }
    }
}

// SAFETY: the functions are listed by their number of rows.
unsafe impl Columns for f16 {
    const PRODUCTS: [Product<f32, f16, f32>; TILE_ROWS] =
        products!(multiply_floats, f16; 1 2 3 4 5 6);

    #[inline(always)]
    unsafe fn load(from: *const f16) -> float32x4_t {
        // SAFETY: the weights are there (caller); every aarch64 has the instruction, which Rust does not
        // offer yet.
        unsafe {
            let widened: float32x4_t;
            asm!(
                "fcvtl {widened:v}.4s, {halves:v}.4h",
                widened = lateout(vreg) widened,
                halves = in(vreg) vld1_u16(from.cast()),
                options(pure, nomem, nostack, preserves_flags)
            );
            widened
        }
    }
}

/// Rows of `f32` sums.
struct Floats<W>(PhantomData<W>);

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl<W: Columns> TileRow for Floats<W> {
    type Input = f32;
    type Weight = W;
    type Sum = f32;
    type Columns = [float32x4_t; REGISTERS];
    type Sums = [float32x4_t; REGISTERS];
    const GROUP: usize = 1;
    const STEP: usize = PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [vdupq_n_f32(0.0); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const W) -> Self::Columns {
        // SAFETY: guaranteed by the caller.
        std::array::from_fn(|register| unsafe { W::load(step.add(register * WIDTH)) })
    }

    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, group: *const f32, columns: Self::Columns) -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe {
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = vfmaq_n_f32(*sum, columns, *group);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, output: *mut f32, accumulate: bool) {
        for (register, sum) in sums.into_iter().enumerate() {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let output = output.add(register * WIDTH);
                let previous = if accumulate { vld1q_f32(output) } else { vdupq_n_f32(0.0) };
                vst1q_f32(output, vaddq_f32(previous, sum));
            }
        }
    }
}

/// # Safety
/// [`multiply`]'s conditions.
unsafe fn multiply_floats<const ROWS: usize, W: Columns>(operands: &Operands<f32, W, f32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Floats<W>>(operands) };
}

/// Instructions that add products of groups of four signed bytes to sums.
pub(super) trait Dot {
    /// # Safety
    /// The machine has the instructions that the implementation uses.
    unsafe fn add(sum: int32x4_t, group: int8x16_t, columns: int8x16_t) -> int32x4_t;
}

impl Dot for Widening {
    /// Adds pairs first: two products of 8 by 7 bits, at most 2 · 128 · 63, fit the 16 bits in which they
    /// are added.
    #[inline(always)]
    unsafe fn add(sum: int32x4_t, group: int8x16_t, columns: int8x16_t) -> int32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe {
            let left = vmull_s8(vget_low_s8(group), vget_low_s8(columns));
            let right = vmull_high_s8(group, columns);
            vpadalq_s16(sum, vpaddq_s16(left, right))
        }
    }
}

/// Rows of integer sums. Weights are between −63 and 63; 128 has been subtracted from inputs.
pub(super) struct Integers<D>(PhantomData<D>);

// SAFETY: a step is `STEP` weights, `GROUP` for each column of the panel.
unsafe impl<D: Dot> TileRow for Integers<D> {
    type Input = u8;
    type Weight = i8;
    type Sum = i32;
    type Columns = [int8x16_t; REGISTERS];
    type Sums = [int32x4_t; REGISTERS];
    const GROUP: usize = 4;
    const STEP: usize = 4 * PANEL;

    #[inline(always)]
    unsafe fn zero() -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe { [vdupq_n_s32(0); REGISTERS] }
    }

    #[inline(always)]
    unsafe fn columns(step: *const i8) -> Self::Columns {
        // SAFETY: guaranteed by the caller.
        std::array::from_fn(|register| unsafe { vld1q_s8(step.add(4 * register * WIDTH)) })
    }

    #[inline(always)]
    unsafe fn add(mut sums: Self::Sums, group: *const u8, columns: Self::Columns) -> Self::Sums {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let group = vreinterpretq_s8_s32(vdupq_n_s32(group.cast::<i32>().read_unaligned()));
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = D::add(*sum, group, columns);
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn store(sums: Self::Sums, output: *mut i32, accumulate: bool) {
        for (register, sum) in sums.into_iter().enumerate() {
            // SAFETY: guaranteed by the caller.
            unsafe { store(sum, output.add(register * WIDTH), accumulate) };
        }
    }
}

/// Stores four sums, or adds them to the output.
///
/// # Safety
/// The output has room for them.
#[inline(always)]
pub(super) unsafe fn store(sum: int32x4_t, output: *mut i32, accumulate: bool) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let previous = if accumulate { vld1q_s32(output) } else { vdupq_n_s32(0) };
        vst1q_s32(output, vaddq_s32(previous, sum));
    }
}

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for Widening {
    const TILE_ROWS: usize = TILE_ROWS;
    const OFFSET: u8 = 128;
    type Bf16 = NoBf16;

    fn is_detected() -> bool {
        true
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        // SAFETY: guaranteed by the caller.
        unsafe { WIDENING_PRODUCTS[operands.rows - 1](operands) };
    }
}

/// Integer products for 1 to `TILE_ROWS` rows.
const WIDENING_PRODUCTS: [Product<u8, i8, i32>; TILE_ROWS] =
    products!(multiply_widened; 1 2 3 4 5 6);

/// # Safety
/// [`multiply`]'s conditions.
unsafe fn multiply_widened<const ROWS: usize>(operands: &Operands<u8, i8, i32>) {
    // SAFETY: guaranteed by the caller.
    unsafe { multiply::<ROWS, Integers<Widening>>(operands) };
}
