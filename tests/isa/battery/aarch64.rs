//! aarch64: what every such processor has, and the products of bytes that some have besides, which Rust has
//! no stable functions for.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use half::f16;

use super::{Battery, ROUNDS, fused, same_bits};
use crate::support::Dice;

type Floats = [f32; 4];
type Integers = [i32; 4];
type Shorts = [i16; 8];
type Bytes = [u8; 16];
type SignedBytes = [i8; 16];

/// Functions of arrays that are one intrinsic each.
macro_rules! instructions {
    ($($name:ident = $intrinsic:expr, ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(#[allow(unused_unsafe, reason = "some intrinsics are safe where the instructions are there")]
        fn $name($($argument: $type),*) -> $result {
            // SAFETY: every aarch64 has NEON; an array and a vector of one size hold the same bits, all of
            // which are values.
            unsafe { same_bits($intrinsic($(same_bits($argument)),*)) }
        })*
    };
}

instructions! {
    add = vaddq_f32, (a: Floats, b: Floats) -> Floats;
    sub = vsubq_f32, (a: Floats, b: Floats) -> Floats;
    mul = vmulq_f32, (a: Floats, b: Floats) -> Floats;
    div = vdivq_f32, (a: Floats, b: Floats) -> Floats;
    min = vminq_f32, (a: Floats, b: Floats) -> Floats;
    max = vmaxq_f32, (a: Floats, b: Floats) -> Floats;
    min_across = vminvq_f32, (a: Floats) -> f32;
    max_across = vmaxvq_f32, (a: Floats) -> f32;
    add_across = vaddvq_f32, (a: Floats) -> f32;
    less = vcltq_f32, (a: Floats, b: Floats) -> [u32; 4];
    and = vandq_u32, (a: [u32; 4], b: [u32; 4]) -> [u32; 4];
    select = vbslq_f32, (mask: [u32; 4], a: Floats, b: Floats) -> Floats;
    splat = vdupq_n_f32, (a: f32) -> Floats;
    multiply_add = vfmaq_f32, (c: Floats, a: Floats, b: Floats) -> Floats;
    multiply_add_lane = vfmaq_laneq_f32::<2>, (c: Floats, a: Floats, b: Floats) -> Floats;
    nearest = vcvtnq_s32_f32, (a: Floats) -> Integers;
    to_floats = vcvtq_f32_s32, (a: Integers) -> Floats;
    multiply = vmulq_s32, (a: Integers, b: Integers) -> Integers;
    multiply_sub = vmlsq_s32, (c: Integers, a: Integers, b: Integers) -> Integers;
    add_integers = vaddq_s32, (a: Integers, b: Integers) -> Integers;
    sub_integers = vsubq_s32, (a: Integers, b: Integers) -> Integers;
    shift = vshlq_n_s32::<23>, (a: Integers) -> Integers;
    narrow = vqmovn_s32, (a: Integers) -> [i16; 4];
    narrow_unsigned = vqmovun_s16, (a: Shorts) -> [u8; 8];
    narrow_bytes = vqmovn_u16, (a: [u16; 8]) -> [u8; 8];
    widening_low = vmull_s8, (a: [i8; 8], b: [i8; 8]) -> Shorts;
    widening_high = vmull_high_s8, (a: SignedBytes, b: SignedBytes) -> Shorts;
    widening_accumulate = vmlal_s8, (c: Shorts, a: [i8; 8], b: [i8; 8]) -> Shorts;
    add_shorts = vaddq_s16, (a: Shorts, b: Shorts) -> Shorts;
    add_pairs = vpadalq_s16, (c: Integers, a: Shorts) -> Integers;
    flip = veorq_u8, (a: Bytes, b: Bytes) -> Bytes;
    look_up = vqtbl1q_u8, (a: Bytes, b: Bytes) -> Bytes;
    zip1 = vzip1q_f32, (a: Floats, b: Floats) -> Floats;
    zip2 = vzip2q_f32, (a: Floats, b: Floats) -> Floats;
    uzp1 = vuzp1q_f32, (a: Floats, b: Floats) -> Floats;
    uzp2 = vuzp2q_f32, (a: Floats, b: Floats) -> Floats;
    trn1 = vtrn1q_f32, (a: Floats, b: Floats) -> Floats;
    trn2 = vtrn2q_f32, (a: Floats, b: Floats) -> Floats;
    trn1_doubles = vtrn1q_f64, (a: [f64; 2], b: [f64; 2]) -> [f64; 2];
    trn2_doubles = vtrn2q_f64, (a: [f64; 2], b: [f64; 2]) -> [f64; 2];
    extract = vextq_f32::<2>, (a: Floats, b: Floats) -> Floats;
}

/// Functions of arrays that are one instruction each, `{0:v}` being the first argument and the result.
macro_rules! assembly {
    ($($features:literal $name:ident: $text:literal, ($sums:ident: $sum:ty $(, $argument:ident: $type:ty)*);)*) => {
        $(#[target_feature(enable = $features)]
        fn $name($sums: $sum $(, $argument: $type)*) -> $sum {
            // SAFETY: arrays and vectors as above; the instruction reads and writes its registers alone, and
            // the caller has seen to it that the processor has it.
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
    "neon" widen_high: "fcvtl2 {0:v}.4s, {1:v}.8h", (sums: Floats, halves: [f16; 8]);
    "dotprod" sdot: "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", (sums: Integers, a: SignedBytes, b: SignedBytes);
    "dotprod" udot: "udot {0:v}.4s, {1:v}.16b, {2:v}.16b", (sums: Integers, a: Bytes, b: Bytes);
    "dotprod" sdot_lane: "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[3]",
        (sums: Integers, a: SignedBytes, b: SignedBytes);
    "i8mm" usdot: "usdot {0:v}.4s, {1:v}.16b, {2:v}.16b", (sums: Integers, a: Bytes, b: SignedBytes);
    "i8mm" usmmla: "usmmla {0:v}.4s, {1:v}.16b, {2:v}.16b", (sums: Integers, a: Bytes, b: SignedBytes);
    "i8mm" smmla: "smmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
        (sums: Integers, a: SignedBytes, b: SignedBytes);
}

pub(super) fn run(battery: &mut Battery) {
    let mut dice = Dice(23);
    for _ in 0..ROUNDS {
        floats(battery, &mut dice);
        integers(battery, &mut dice);
        // SAFETY: every aarch64 has NEON.
        unsafe { halves(battery, &mut dice) };
        if is_aarch64_feature_detected!("dotprod") {
            // SAFETY: the processor has it, as below.
            unsafe { dot_products(battery, &mut dice) };
        }
        if is_aarch64_feature_detected!("i8mm") {
            // SAFETY: as above.
            unsafe { matrix_products(battery, &mut dice) };
        }
    }
}

/// What `f` gives for each pair of lanes.
fn lanes<T: Copy, R, const N: usize>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> R) -> [R; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// `f` of both, or what is no number if either is none.
fn numbers(f: impl Fn(f32, f32) -> f32) -> impl Fn(f32, f32) -> f32 {
    move |a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { f(a, b) }
}

fn floats(battery: &mut Battery, dice: &mut Dice) {
    let (a, b, c): (Floats, Floats, Floats) = (dice.floats(), dice.floats(), dice.floats());
    battery.check_floats("fadd", add(a, b), lanes(a, b, |a, b| a + b));
    battery.check_floats("fsub", sub(a, b), lanes(a, b, |a, b| a - b));
    battery.check_floats("fmul", mul(a, b), lanes(a, b, |a, b| a * b));
    battery.check_floats("fdiv", div(a, b), lanes(a, b, |a, b| a / b));
    // Of two zeros it is the sign that counts.
    let least = |a: f32, b: f32| if a < b || a == b && a.is_sign_negative() { a } else { b };
    battery.check_floats("fmin", min(a, b), lanes(a, b, numbers(least)));
    let largest = |a: f32, b: f32| if a > b || a == b && a.is_sign_positive() { a } else { b };
    battery.check_floats("fmax", max(a, b), lanes(a, b, numbers(largest)));
    let mask = lanes(a, b, |a, b| if a < b { u32::MAX } else { 0 });
    battery.check("fcmlt", less(a, b), mask);
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
    battery.check_floats("zip1", zip1(a, b), [a[0], b[0], a[1], b[1]]);
    battery.check_floats("zip2", zip2(a, b), [a[2], b[2], a[3], b[3]]);
    battery.check_floats("uzp1", uzp1(a, b), [a[0], a[2], b[0], b[2]]);
    battery.check_floats("uzp2", uzp2(a, b), [a[1], a[3], b[1], b[3]]);
    battery.check_floats("trn1", trn1(a, b), [a[0], b[0], a[2], b[2]]);
    battery.check_floats("trn2", trn2(a, b), [a[1], b[1], a[3], b[3]]);
    battery.check_floats("ext", extract(a, b), [a[2], a[3], b[0], b[1]]);
    let (a, b): (Floats, Floats) = (dice.small_floats(), dice.small_floats());
    battery.check("fcvtns", nearest(a), a.map(|a| a.round_ties_even() as i32));
    let smallest = a.into_iter().reduce(f32::min).unwrap();
    battery.check("fminv", min_across(a), smallest);
    battery.check("fmaxv", max_across(a), a.into_iter().reduce(f32::max).unwrap());
    battery.check("faddp", add_across(a), (a[0] + a[1]) + (a[2] + a[3]));
    let (a, b) = ([a[0], a[1]].map(f64::from), [b[0], b[1]].map(f64::from));
    battery.check("trn1.2d", trn1_doubles(a, b), [a[0], b[0]]);
    battery.check("trn2.2d", trn2_doubles(a, b), [a[1], b[1]]);
}

fn integers(battery: &mut Battery, dice: &mut Dice) {
    let (a, b, c): (Integers, Integers, Integers) =
        (dice.integers(), dice.integers(), dice.integers());
    battery.check_floats("scvtf", to_floats(a), a.map(|a| a as f32));
    battery.check("mul", multiply(a, b), lanes(a, b, i32::wrapping_mul));
    let expected = std::array::from_fn(|i| c[i].wrapping_sub(a[i].wrapping_mul(b[i])));
    battery.check("mls", multiply_sub(c, a, b), expected);
    battery.check("add.4s", add_integers(a, b), lanes(a, b, i32::wrapping_add));
    battery.check("sub.4s", sub_integers(a, b), lanes(a, b, i32::wrapping_sub));
    battery.check("shl", shift(a), a.map(|a| a << 23));
    let short = |a: i32| a.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    battery.check("sqxtn", narrow(a), a.map(short));
    let (d, e): (Shorts, Shorts) = (dice.shorts(), dice.shorts());
    battery.check("sqxtun", narrow_unsigned(d), d.map(|d| d.clamp(0, 255) as u8));
    let unsigned = d.map(|d| d as u16);
    battery.check("uqxtn", narrow_bytes(unsigned), unsigned.map(|d| d.min(255) as u8));
    battery.check("add.8h", add_shorts(d, e), lanes(d, e, i16::wrapping_add));
    let pair = |i: usize| i32::from(d[2 * i]) + i32::from(d[2 * i + 1]);
    let expected = std::array::from_fn(|i| a[i].wrapping_add(pair(i)));
    battery.check("sadalp", add_pairs(a, d), expected);
    let (f, g): (SignedBytes, SignedBytes) = (dice.signed_bytes(), dice.signed_bytes());
    let product = |i: usize| i16::from(f[i]) * i16::from(g[i]);
    let low = |bytes: SignedBytes| -> [i8; 8] { std::array::from_fn(|i| bytes[i]) };
    battery.check("smull", widening_low(low(f), low(g)), std::array::from_fn(product));
    battery.check("smull2", widening_high(f, g), std::array::from_fn(|i| product(i + 8)));
    let expected = std::array::from_fn(|i| d[i].wrapping_add(product(i)));
    battery.check("smlal", widening_accumulate(d, low(f), low(g)), expected);
    let (f, g): (Bytes, Bytes) = (dice.bytes(), dice.bytes());
    battery.check("eor", flip(f, g), lanes(f, g, |f, g| f ^ g));
    let g = g.map(|g| g % 20);
    battery.check("tbl", look_up(f, g), g.map(|g| *f.get(usize::from(g)).unwrap_or(&0)));
}

#[target_feature(enable = "neon")]
fn halves(battery: &mut Battery, dice: &mut Dice) {
    let halves: [f16; 8] = std::array::from_fn(|_| f16::from_bits(dice.bits() as u16));
    let wide = halves.map(f16::to_f32_const);
    battery.check_floats("fcvtl", widen_low([0.0; 4], halves), std::array::from_fn(|i| wide[i]));
    let high = std::array::from_fn(|i| wide[i + 4]);
    battery.check_floats("fcvtl2", widen_high([0.0; 4], halves), high);
}

/// The sum of `count` products of two runs.
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
    let expected = std::array::from_fn(|i| sums[i].wrapping_add(dot(&a[run(i)], &b[run(3)])));
    battery.check("sdot.lane", sdot_lane(sums, a, b), expected);
    let (a, b): (Bytes, Bytes) = (dice.bytes(), dice.bytes());
    let expected = std::array::from_fn(|i| sums[i].wrapping_add(dot(&a[run(i)], &b[run(i)])));
    battery.check("udot", udot(sums, a, b), expected);
}

#[target_feature(enable = "i8mm")]
fn matrix_products(battery: &mut Battery, dice: &mut Dice) {
    let sums: Integers = dice.integers();
    let (a, b, c): (Bytes, SignedBytes, SignedBytes) =
        (dice.bytes(), dice.signed_bytes(), dice.signed_bytes());
    let run = |i: usize| 4 * i..4 * i + 4;
    let expected = std::array::from_fn(|i| sums[i].wrapping_add(dot(&a[run(i)], &b[run(i)])));
    battery.check("usdot", usdot(sums, a, b), expected);
    // Two rows of eight by two rows of eight, the second transposed.
    let row = |i: usize| 8 * i..8 * i + 8;
    let expected =
        std::array::from_fn(|i| sums[i].wrapping_add(dot(&a[row(i / 2)], &b[row(i % 2)])));
    battery.check("usmmla", usmmla(sums, a, b), expected);
    let expected =
        std::array::from_fn(|i| sums[i].wrapping_add(dot(&c[row(i / 2)], &b[row(i % 2)])));
    battery.check("smmla", smmla(sums, c, b), expected);
}
