//! Single instructions that kernels use, against plain Rust. A failure here points to the CPU or its emulator rather than
//! to a kernel.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::mem::transmute_copy;

use test_support::Dice;

/// Number of trials per instruction.
const ROUNDS: usize = 200;

/// Comparison of instructions with expected results, which counts the instructions tested.
#[derive(Default)]
struct Battery {
    kinds: BTreeSet<&'static str>,
}

impl Battery {
    #[track_caller]
    fn check<T: PartialEq + Debug>(&mut self, kind: &'static str, found: T, expected: T) {
        self.kinds.insert(kind);
        assert_eq!(found, expected, "{kind}");
    }

    /// Compares bit for bit like `check`, except that all NaNs are equal.
    #[track_caller]
    fn check_floats<const N: usize>(
        &mut self,
        kind: &'static str,
        found: [f32; N],
        expected: [f32; N],
    ) {
        let bits =
            |values: [f32; N]| values.map(|x| if x.is_nan() { f32::NAN } else { x }.to_bits());
        self.check(kind, bits(found), bits(expected));
    }
}

/// Reinterprets the bits of a value as another type.
///
/// # Safety
/// All bit patterns must be valid values of the other type.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
#[inline(always)]
unsafe fn same_bits<T: Copy, U: Copy>(value: T) -> U {
    const { assert!(size_of::<T>() == size_of::<U>()) };
    // SAFETY: the sizes are equal (checked above), and all bit patterns are valid (guaranteed by the caller).
    unsafe { transmute_copy(&value) }
}

/// Applies `f` to each pair of lanes.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
fn lanes<T: Copy, R, const N: usize>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> R) -> [R; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// Computes `a · b + c` with a single rounding, in `f64` arithmetic only: `f32::mul_add` would use the instruction itself.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    // The product is exact.
    sum_to_odd(f64::from(a) * f64::from(b), f64::from(c)) as f32
}

/// Computes `a + b`, rounded to odd if it is inexact, which keeps a second rounding from seeing a false tie.
fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let part = sum - a;
    let error = (a - (sum - part)) + (b - part);
    if !sum.is_finite() || error == 0.0 || sum.to_bits() & 1 == 1 {
        return sum;
    }
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
}

/// Returns the value of a bf16. A denormal is zero, as for all instructions that multiply them.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
fn widen(bits: u16) -> f32 {
    flushed(f32::from_bits(u32::from(bits) << 16))
}

/// Returns zero of the same sign for a denormal.
fn flushed(value: f32) -> f32 {
    if value.is_subnormal() { 0f32.copysign(value) } else { value }
}

/// Returns bf16 numbers: in odd rounds any bits, in even ones numbers between 1/4 and 32, whose sums are rounded in every
/// place.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
fn short_floats<const N: usize>(dice: &mut Dice, round: usize) -> [u16; N] {
    std::array::from_fn(|_| match round % 2 {
        0 => (dice.bits() as u16 & 0x807F) | ((125 + dice.below(7) as u16) << 7),
        _ => dice.bits() as u16,
    })
}

#[test]
fn fused_multiply_add_rounds_once() {
    let tiny = 2f32.powi(-30);
    // Half a unit in the last place of the sum, and slightly more or less.
    assert_eq!(fused(1.0 + f32::EPSILON, 1.0, f32::EPSILON / 2.0), 1.0 + 2.0 * f32::EPSILON);
    assert_eq!(fused(tiny, tiny, 1.0 + f32::EPSILON), 1.0 + f32::EPSILON);
    let above = 1.0 + f32::EPSILON;
    assert_eq!(fused(above, above, 0.0), 1.0 + 2.0 * f32::EPSILON);
    assert_eq!(fused(above, above, -(1.0 + 2.0 * f32::EPSILON)), f32::EPSILON * f32::EPSILON);
}

/// `EXPECT_KINDS` is the number of instructions that an emulated CPU supports; every one of them must be tested.
#[test]
fn single_instructions_match_plain_rust() {
    let mut battery = Battery::default();
    #[cfg(target_arch = "aarch64")]
    aarch64::run(&mut battery);
    #[cfg(target_arch = "x86_64")]
    x86::run(&mut battery);
    let kinds = battery.kinds.len();
    println!("{kinds} kinds: {}", battery.kinds.into_iter().collect::<Vec<_>>().join(" "));
    if let Ok(expected) = std::env::var("EXPECT_KINDS") {
        assert_eq!(kinds.to_string(), expected);
    }
}
