//! Single instructions that kernels use, against plain Rust: where one of them is wrong, the processor is
//! at fault, or what emulates it, and not the kernel.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::mem::transmute_copy;

/// How often each kind is tried.
const ROUNDS: usize = 200;

/// Compares what instructions give, and keeps count of their kinds.
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

    /// As `check`, bit for bit, but any NaN is as good as another.
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

/// A value of another type with the same bits.
///
/// # Safety
/// All bits are values of the other type.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
#[inline(always)]
unsafe fn same_bits<T: Copy, U: Copy>(value: T) -> U {
    const { assert!(size_of::<T>() == size_of::<U>()) };
    // SAFETY: there are as many (above), and any of them will do (caller).
    unsafe { transmute_copy(&value) }
}

/// What `f` gives for each pair of lanes.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
fn lanes<T: Copy, R, const N: usize>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> R) -> [R; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// `a · b + c` rounded once, by arithmetic in `f64` alone: `f32::mul_add` would be the instruction itself.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    // The product is exact. The sum, if it is not, is made odd in its last bit, which keeps the second
    // rounding from meeting a tie that is none.
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let part = sum - product;
    let error = (product - (sum - part)) + (c - part);
    if !sum.is_finite() || error == 0.0 || sum.to_bits() & 1 == 1 {
        return sum as f32;
    }
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 }) as f32
}

#[test]
fn fused_is_rounded_once() {
    let tiny = 2f32.powi(-30);
    // Half a unit in the last place of the sum, and a little more or less.
    assert_eq!(fused(1.0 + f32::EPSILON, 1.0, f32::EPSILON / 2.0), 1.0 + 2.0 * f32::EPSILON);
    assert_eq!(fused(tiny, tiny, 1.0 + f32::EPSILON), 1.0 + f32::EPSILON);
    let above = 1.0 + f32::EPSILON;
    assert_eq!(fused(above, above, 0.0), 1.0 + 2.0 * f32::EPSILON);
    assert_eq!(fused(above, above, -(1.0 + 2.0 * f32::EPSILON)), f32::EPSILON * f32::EPSILON);
}

/// `EXPECT_KINDS` says how many kinds the processor has, where one is emulated: none of them may go by
/// untried.
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
