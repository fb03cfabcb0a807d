//! aarch64: instructions that every such processor has, and the optional products of bytes and of bf16 for which Rust has
//! no stable intrinsics.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use half::f16;

use super::{Battery, ROUNDS, flushed, fused, lanes, same_bits, short_floats, sum_to_odd, widen};
use test_support::Dice;

type Floats = [f32; 4];
type Integers = [i32; 4];
type Shorts = [i16; 8];
type Bytes = [u8; 16];
type SignedBytes = [i8; 16];

/// Defines functions of arrays, each of which wraps one intrinsic.
macro_rules! instructions {
    ($($name:ident = $intrinsic:expr, ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name($($argument: $type),*) -> $result {
            // SAFETY: every aarch64 CPU has NEON; an array and a vector of the same size have the same bits, and all bit patterns
            // are valid.
            unsafe { same_bits($intrinsic($(same_bits($argument)),*)) }
        })*
    };
}

instructions! {
    add = vaddq_f32, (a: Floats, b: Floats) -> Floats;
    sub = vsubq_f32, (a: Floats, b: Floats) -> Floats;
    mul = vmulq_f32, (a: Floats, b: Floats) -> Floats;
    div = vdivq_f32, (a: Floats, b: Floats) -> Floats;
    min_across = vminvq_f32, (a: Floats) -> f32;
    max_across = vmaxvq_f32, (a: Floats) -> f32;
    less = vcltq_f32, (a: Floats, b: Floats) -> [u32; 4];
    and = vandq_u32, (a: [u32; 4], b: [u32; 4]) -> [u32; 4];
    greater = vcgtq_f32, (a: Floats, b: Floats) -> [u32; 4];
    select = vbslq_f32, (mask: [u32; 4], a: Floats, b: Floats) -> Floats;
    splat = vdupq_n_f32, (a: f32) -> Floats;
    multiply_add = vfmaq_f32, (c: Floats, a: Floats, b: Floats) -> Floats;
    multiply_add_lane = vfmaq_laneq_f32::<2>, (c: Floats, a: Floats, b: Floats) -> Floats;
    nearest = vcvtnq_s32_f32, (a: Floats) -> Integers;
    nearest_unsigned = vcvtnq_u32_f32, (a: Floats) -> [u32; 4];
    to_floats = vcvtq_f32_s32, (a: Integers) -> Floats;
    multiply_sub = vmlsq_s32, (c: Integers, a: Integers, b: Integers) -> Integers;
    add_integers = vaddq_s32, (a: Integers, b: Integers) -> Integers;
    shift = vshlq_n_s32::<23>, (a: Integers) -> Integers;
    narrow = vmovn_u32, (a: [u32; 4]) -> [u16; 4];
    narrow_shorts = vmovn_u16, (a: [u16; 8]) -> [u8; 8];
    sub_bytes = vsubq_u8, (a: Bytes, b: Bytes) -> Bytes;
    widening_low = vmull_s8, (a: [i8; 8], b: [i8; 8]) -> Shorts;
    widening_high = vmull_high_s8, (a: SignedBytes, b: SignedBytes) -> Shorts;
    add_neighbors = vpaddq_s16, (a: Shorts, b: Shorts) -> Shorts;
    add_pairs = vpadalq_s16, (c: Integers, a: Shorts) -> Integers;
    trn1 = vtrn1q_f32, (a: Floats, b: Floats) -> Floats;
    trn2 = vtrn2q_f32, (a: Floats, b: Floats) -> Floats;
    trn1_doubles = vtrn1q_f64, (a: [f64; 2], b: [f64; 2]) -> [f64; 2];
    trn2_doubles = vtrn2q_f64, (a: [f64; 2], b: [f64; 2]) -> [f64; 2];
}

/// Defines functions of arrays, each of which executes one instruction. `{0:v}` is the first argument and the result.
macro_rules! assembly {
    ($($features:literal $name:ident: $text:literal, ($sums:ident: $sum:ty $(, $argument:ident: $type:ty)*);)*) => {
        $(#[target_feature(enable = $features)]
        fn $name($sums: $sum $(, $argument: $type)*) -> $sum {
            // SAFETY: arrays and vectors as above; the instruction reads and writes only its registers, and the caller has checked
            // that the CPU supports it.
            unsafe {
                let mut sums: int32x4_t = same_bits($sums);
                asm!(
                    $text,
                    inout(vreg) sums,
                    $(in(vreg) same_bits::<$type, int8x16_t>($argument),)*
                    options(pure, nomem, nostack, preserves_flags)
                );
                same_bits(sums)
            }
        })*
    };
}

assembly! {
    "neon" widen_low: "fcvtl {0:v}.4s, {1:v}.4h", (sums: Floats, halves: [f16; 8]);
    "dotprod" sdot: "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", (sums: Integers, a: SignedBytes, b: SignedBytes);
    "i8mm" usmmla: "usmmla {0:v}.4s, {1:v}.16b, {2:v}.16b", (sums: Integers, a: Bytes, b: SignedBytes);
    "bf16" bfdot: "bfdot {0:v}.4s, {1:v}.8h, {2:v}.8h", (sums: Floats, a: [u16; 8], b: [u16; 8]);
    "bf16" bfmmla: "bfmmla {0:v}.4s, {1:v}.8h, {2:v}.8h", (sums: Floats, a: [u16; 8], b: [u16; 8]);
}

pub(super) fn run(battery: &mut Battery) {
    let mut dice = Dice(23);
    for round in 0..ROUNDS {
        floats(battery, &mut dice);
        integers(battery, &mut dice);
        // SAFETY: every aarch64 CPU has NEON.
        unsafe { halves(battery, &mut dice) };
        if is_aarch64_feature_detected!("dotprod") {
            // SAFETY: the CPU supports it, which is checked below.
            unsafe { dot_products(battery, &mut dice) };
        }
        if is_aarch64_feature_detected!("i8mm") {
            // SAFETY: as above.
            unsafe { matrix_products(battery, &mut dice) };
        }
        if is_aarch64_feature_detected!("bf16") {
            // SAFETY: as above.
            unsafe { short_float_products(battery, &mut dice, round) };
        }
    }
}

fn floats(battery: &mut Battery, dice: &mut Dice) {
    let (a, b, c): (Floats, Floats, Floats) = (dice.floats(), dice.floats(), dice.floats());
    battery.check_floats("fadd", add(a, b), lanes(a, b, |a, b| a + b));
    battery.check_floats("fsub", sub(a, b), lanes(a, b, |a, b| a - b));
    battery.check_floats("fmul", mul(a, b), lanes(a, b, |a, b| a * b));
    battery.check_floats("fdiv", div(a, b), lanes(a, b, |a, b| a / b));
    let mask = lanes(a, b, |a, b| if a < b { u32::MAX } else { 0 });
    battery.check("fcmlt", less(a, b), mask);
    let greater_mask = lanes(a, b, |a, b| if a > b { u32::MAX } else { 0 });
    battery.check("fcmgt", greater(a, b), greater_mask);
    battery.check(
        "and",
        and(a.map(f32::to_bits), mask),
        lanes(a, mask.map(f32::from_bits), |a, m| a.to_bits() & m.to_bits()),
    );
    let chosen = std::array::from_fn(|i| if mask[i] == 0 { b[i] } else { a[i] });
    battery.check_floats("bsl", select(mask, a, b), chosen);
    battery.check_floats("dup", splat(a[0]), [a[0]; 4]);
    let expected = std::array::from_fn(|i| fused(a[i], b[i], c[i]));
    battery.check_floats("fmla", multiply_add(c, a, b), expected);
    let expected = std::array::from_fn(|i| fused(a[i], b[2], c[i]));
    battery.check_floats("fmla.lane", multiply_add_lane(c, a, b), expected);
    battery.check_floats("trn1", trn1(a, b), [a[0], b[0], a[2], b[2]]);
    battery.check_floats("trn2", trn2(a, b), [a[1], b[1], a[3], b[3]]);
    let (a, b): (Floats, Floats) = (dice.small_floats(), dice.small_floats());
    battery.check("fcvtns", nearest(a), a.map(|a| a.round_ties_even() as i32));
    battery.check("fcvtnu", nearest_unsigned(a), a.map(|a| a.round_ties_even() as u32));
    let smallest = a.into_iter().reduce(f32::min).unwrap();
    battery.check("fminv", min_across(a), smallest);
    battery.check("fmaxv", max_across(a), a.into_iter().reduce(f32::max).unwrap());
    let (a, b) = ([a[0], a[1]].map(f64::from), [b[0], b[1]].map(f64::from));
    battery.check("trn1.2d", trn1_doubles(a, b), [a[0], b[0]]);
    battery.check("trn2.2d", trn2_doubles(a, b), [a[1], b[1]]);
}

fn integers(battery: &mut Battery, dice: &mut Dice) {
    let (a, b, c): (Integers, Integers, Integers) =
        (dice.integers(), dice.integers(), dice.integers());
    battery.check_floats("scvtf", to_floats(a), a.map(|a| a as f32));
    let expected = std::array::from_fn(|i| c[i].wrapping_sub(a[i].wrapping_mul(b[i])));
    battery.check("mls", multiply_sub(c, a, b), expected);
    battery.check("add.4s", add_integers(a, b), lanes(a, b, i32::wrapping_add));
    battery.check("shl", shift(a), a.map(|a| a << 23));
    let (d, e): (Shorts, Shorts) = (dice.shorts(), dice.shorts());
    battery.check("xtn.4h", narrow(a.map(|a| a as u32)), a.map(|a| a as u16));
    battery.check("xtn.8b", narrow_shorts(d.map(|d| d as u16)), d.map(|d| d as u8));
    let all: [i16; 16] = std::array::from_fn(|i| if i < 8 { d[i] } else { e[i - 8] });
    let expected = std::array::from_fn(|i| all[2 * i].wrapping_add(all[2 * i + 1]));
    battery.check("addp.8h", add_neighbors(d, e), expected);
    let pair = |i: usize| i32::from(d[2 * i]) + i32::from(d[2 * i + 1]);
    let expected = std::array::from_fn(|i| a[i].wrapping_add(pair(i)));
    battery.check("sadalp", add_pairs(a, d), expected);
    let (f, g): (SignedBytes, SignedBytes) = (dice.signed_bytes(), dice.signed_bytes());
    let product = |i: usize| i16::from(f[i]) * i16::from(g[i]);
    let low = |bytes: SignedBytes| -> [i8; 8] { std::array::from_fn(|i| bytes[i]) };
    battery.check("smull", widening_low(low(f), low(g)), std::array::from_fn(product));
    battery.check("smull2", widening_high(f, g), std::array::from_fn(|i| product(i + 8)));
    let (f, g): (Bytes, Bytes) = (dice.bytes(), dice.bytes());
    battery.check("sub.16b", sub_bytes(f, g), lanes(f, g, u8::wrapping_sub));
}

#[target_feature(enable = "neon")]
fn halves(battery: &mut Battery, dice: &mut Dice) {
    let halves: [f16; 8] = std::array::from_fn(|_| f16::from_bits(dice.bits() as u16));
    let wide = halves.map(f16::to_f32_const);
    battery.check_floats("fcvtl", widen_low([0.0; 4], halves), std::array::from_fn(|i| wide[i]));
}

/// Returns the dot product of `count` elements.
fn dot<A: Copy + Into<i32>, B: Copy + Into<i32>>(a: &[A], b: &[B]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| a.into() * b.into()).sum()
}

#[target_feature(enable = "dotprod")]
fn dot_products(battery: &mut Battery, dice: &mut Dice) {
    let sums: Integers = dice.integers();
    let (a, b): (SignedBytes, SignedBytes) = (dice.signed_bytes(), dice.signed_bytes());
    let run = |i: usize| 4 * i..4 * i + 4;
    let expected = std::array::from_fn(|i| sums[i].wrapping_add(dot(&a[run(i)], &b[run(i)])));
    battery.check("sdot", sdot(sums, a, b), expected);
}

#[target_feature(enable = "i8mm")]
fn matrix_products(battery: &mut Battery, dice: &mut Dice) {
    let sums: Integers = dice.integers();
    let (a, b): (Bytes, SignedBytes) = (dice.bytes(), dice.signed_bytes());
    // Two rows of eight times two rows of eight, the second matrix transposed.
    let row = |i: usize| 8 * i..8 * i + 8;
    let expected =
        std::array::from_fn(|i| sums[i].wrapping_add(dot(&a[row(i / 2)], &b[row(i % 2)])));
    battery.check("usmmla", usmmla(sums, a, b), expected);
}

#[target_feature(enable = "bf16")]
fn short_float_products(battery: &mut Battery, dice: &mut Dice, round: usize) {
    let (a, b): ([u16; 8], [u16; 8]) = (short_floats(dice, round), short_floats(dice, round));
    let sums: Floats = if round % 4 < 2 { dice.small_floats() } else { dice.floats() };
    let pair = |at: usize, of: usize| [at, at + 1, of, of + 1];
    let add = |sum: f32, [a0, a1, b0, b1]: [usize; 4]| {
        let products = add_to_odd(multiply_to_odd(a[a0], b[b0]), multiply_to_odd(a[a1], b[b1]));
        add_to_odd(sum, products)
    };
    let expected = std::array::from_fn(|i| add(sums[i], pair(2 * i, 2 * i)));
    battery.check_floats("bfdot", bfdot(sums, a, b), expected);
    // Two rows of four times two rows of four, the second matrix transposed: two dot products of pairs.
    let expected = std::array::from_fn(|i| {
        let (row, column) = (4 * (i / 2), 4 * (i % 2));
        add(add(sums[i], pair(row, column)), pair(row + 2, column + 2))
    });
    battery.check_floats("bfmmla", bfmmla(sums, a, b), expected);
}

fn multiply_to_odd(a: u16, b: u16) -> f32 {
    to_odd(f64::from(widen(a)) * f64::from(widen(b)))
}

fn add_to_odd(a: f32, b: f32) -> f32 {
    to_odd(sum_to_odd(f64::from(flushed(a)), f64::from(flushed(b))))
}

/// Rounds to odd: toward zero, and then to an odd last bit if that changed the value. Too small values become zero, and
/// too large ones infinite.
fn to_odd(value: f64) -> f32 {
    if value == 0.0 || value.is_nan() {
        return value as f32;
    }
    if value.abs() >= 2f64.powi(128) {
        return f32::INFINITY.copysign(value as f32);
    }
    if value.abs() < f64::from(f32::MIN_POSITIVE) {
        return 0f32.copysign(value as f32);
    }
    let nearest = value as f32;
    let away = f64::from(nearest).abs() > value.abs();
    let truncated = f32::from_bits(nearest.to_bits() - u32::from(away));
    let inexact = f64::from(truncated) != value;
    f32::from_bits(truncated.to_bits() | u32::from(inexact))
}
