//! x86-64: AVX, AVX2 with FMA and F16C, AVX-512F and BW, both forms of VNNI, and AVX512-BF16.

use std::arch::x86_64::*;

use half::f16;

use super::{Battery, ROUNDS, flushed, fused, lanes, same_bits, short_floats, widen};
use test_support::Dice;

/// Defines functions of arrays, each of which wraps one intrinsic.
macro_rules! instructions {
    ($features:literal: $($name:ident = $intrinsic:expr, ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(#[target_feature(enable = $features)]
        pub fn $name($($argument: $type),*) -> $result {
            // SAFETY: an array and a vector of the same size have the same bits, and all bit patterns are valid.
            unsafe { same_bits($intrinsic($(same_bits($argument)),*)) }
        })*
    };
}

pub(super) fn run(battery: &mut Battery) {
    let mut dice = Dice(17);
    for round in 0..ROUNDS {
        if is_x86_feature_detected!("avx") {
            // SAFETY: the CPU supports it, which is checked below.
            unsafe { avx::check(battery, &mut dice) };
        }
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            // SAFETY: as above.
            unsafe { avx2::check(battery, &mut dice) };
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            // SAFETY: as above.
            unsafe { avx512::check(battery, &mut dice) };
        }
        let (sums, inputs, weights) = (dice.integers(), dice.bytes(), dice.signed_bytes());
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: as above.
            let found = unsafe { vnni::dpbusd(sums, inputs, weights) };
            battery.check("vpdpbusd.512", found, dot_of_fours(sums, inputs, weights));
        }
        let (sums, inputs, weights) = (dice.integers(), dice.bytes(), dice.signed_bytes());
        if is_x86_feature_detected!("avxvnni") {
            // SAFETY: as above.
            let found = unsafe { avxvnni::dpbusd(sums, inputs, weights) };
            battery.check("vpdpbusd.256", found, dot_of_fours(sums, inputs, weights));
        }
        let (a, b) = (short_floats(&mut dice, round), short_floats(&mut dice, round));
        let sums = if round % 4 < 2 { dice.small_floats() } else { dice.floats() };
        if is_x86_feature_detected!("avx512bf16") {
            // SAFETY: as above.
            let found = unsafe { bf16::dot(sums, a, b) };
            battery.check_floats("vdpbf16ps.512", found, dot_of_pairs(sums, a, b));
        }
    }
}

/// Adds the product of the second elements of each pair, then that of the first, each with one rounding and without
/// denormals.
fn dot_of_pairs<const N: usize, const ELEMENTS: usize>(
    sums: [f32; N],
    a: [u16; ELEMENTS],
    b: [u16; ELEMENTS],
) -> [f32; N] {
    let add = |sum: f32, at: usize| flushed(fused(widen(a[at]), widen(b[at]), sum));
    std::array::from_fn(|i| add(add(flushed(sums[i]), 2 * i + 1), 2 * i))
}

/// Computes `sums[i] + Σ inputs[4i + j] · weights[4i + j]`.
fn dot_of_fours<const N: usize, const BYTES: usize>(
    sums: [i32; N],
    inputs: [u8; BYTES],
    weights: [i8; BYTES],
) -> [i32; N] {
    let product = |at: usize| i32::from(inputs[at]) * i32::from(weights[at]);
    std::array::from_fn(|i| sums[i].wrapping_add((4 * i..4 * i + 4).map(product).sum()))
}

/// Computes sums of adjacent products, saturated to 16 bits.
fn pairs_of_bytes<const N: usize, const BYTES: usize>(a: [u8; BYTES], b: [i8; BYTES]) -> [i16; N] {
    let product = |at: usize| i32::from(a[at]) * i32::from(b[at]);
    std::array::from_fn(|i| {
        (product(2 * i) + product(2 * i + 1)).clamp(i16::MIN.into(), i16::MAX.into()) as i16
    })
}

fn pairs_of_shorts<const N: usize, const SHORTS: usize>(
    a: [i16; SHORTS],
    b: [i16; SHORTS],
) -> [i32; N] {
    let product = |at: usize| i32::from(a[at]) * i32::from(b[at]);
    std::array::from_fn(|i| product(2 * i).wrapping_add(product(2 * i + 1)))
}

/// Returns the second operand if the two are unordered.
fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

fn largest(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn nearest(x: f32) -> i32 {
    x.round_ties_even() as i32
}

mod avx {
    use super::*;

    type Floats = [f32; 8];

    instructions! { "avx":
        add = _mm256_add_ps, (a: Floats, b: Floats) -> Floats;
        sub = _mm256_sub_ps, (a: Floats, b: Floats) -> Floats;
        mul = _mm256_mul_ps, (a: Floats, b: Floats) -> Floats;
        div = _mm256_div_ps, (a: Floats, b: Floats) -> Floats;
        min = _mm256_min_ps, (a: Floats, b: Floats) -> Floats;
        max = _mm256_max_ps, (a: Floats, b: Floats) -> Floats;
        less = _mm256_cmp_ps::<_CMP_LT_OQ>, (a: Floats, b: Floats) -> [u32; 8];
        and = _mm256_and_ps, (a: Floats, b: Floats) -> [u32; 8];
        unpacklo = _mm256_unpacklo_ps, (a: Floats, b: Floats) -> Floats;
        unpackhi = _mm256_unpackhi_ps, (a: Floats, b: Floats) -> Floats;
        shuffle_low = _mm256_shuffle_ps::<0x44>, (a: Floats, b: Floats) -> Floats;
        shuffle_high = _mm256_shuffle_ps::<0xEE>, (a: Floats, b: Floats) -> Floats;
        halves_low = _mm256_permute2f128_ps::<0x20>, (a: Floats, b: Floats) -> Floats;
        halves_high = _mm256_permute2f128_ps::<0x31>, (a: Floats, b: Floats) -> Floats;
        upper = _mm256_extractf128_ps::<1>, (a: Floats) -> [f32; 4];
        movehl = _mm_movehl_ps, (a: [f32; 4], b: [f32; 4]) -> [f32; 4];
        movehdup = _mm_movehdup_ps, (a: [f32; 4]) -> [f32; 4];
        splat = _mm256_set1_ps, (a: f32) -> Floats;
    }

    /// Applies `f` to each 128-bit half.
    fn by_halves(a: Floats, b: Floats, f: impl Fn(&[f32], &[f32]) -> [f32; 4]) -> Floats {
        let (low, high) = (f(&a[..4], &b[..4]), f(&a[4..], &b[4..]));
        std::array::from_fn(|i| if i < 4 { low[i] } else { high[i - 4] })
    }

    #[target_feature(enable = "avx")]
    pub fn check(battery: &mut Battery, dice: &mut Dice) {
        let (a, b): (Floats, Floats) = (dice.floats(), dice.floats());
        battery.check_floats("vaddps.256", add(a, b), lanes(a, b, |a, b| a + b));
        battery.check_floats("vsubps.256", sub(a, b), lanes(a, b, |a, b| a - b));
        battery.check_floats("vmulps.256", mul(a, b), lanes(a, b, |a, b| a * b));
        battery.check_floats("vdivps.256", div(a, b), lanes(a, b, |a, b| a / b));
        battery.check_floats("vminps.256", min(a, b), lanes(a, b, least));
        battery.check_floats("vmaxps.256", max(a, b), lanes(a, b, largest));
        let mask = |a, b| if a < b { u32::MAX } else { 0 };
        battery.check("vcmpltps.256", less(a, b), lanes(a, b, mask));
        battery.check("vandps.256", and(a, b), lanes(a, b, |a, b| a.to_bits() & b.to_bits()));
        let low = |a: &[f32], b: &[f32]| [a[0], b[0], a[1], b[1]];
        battery.check_floats("vunpcklps.256", unpacklo(a, b), by_halves(a, b, low));
        let high = |a: &[f32], b: &[f32]| [a[2], b[2], a[3], b[3]];
        battery.check_floats("vunpckhps.256", unpackhi(a, b), by_halves(a, b, high));
        let low = |a: &[f32], b: &[f32]| [a[0], a[1], b[0], b[1]];
        battery.check_floats("vshufps.256.44", shuffle_low(a, b), by_halves(a, b, low));
        let high = |a: &[f32], b: &[f32]| [a[2], a[3], b[2], b[3]];
        battery.check_floats("vshufps.256.ee", shuffle_high(a, b), by_halves(a, b, high));
        let low = std::array::from_fn(|i| if i < 4 { a[i] } else { b[i - 4] });
        battery.check_floats("vperm2f128.20", halves_low(a, b), low);
        let high = std::array::from_fn(|i| if i < 4 { a[i + 4] } else { b[i] });
        battery.check_floats("vperm2f128.31", halves_high(a, b), high);
        battery.check_floats("vextractf128", upper(a), [a[4], a[5], a[6], a[7]]);
        let (a, b) = ([a[0], a[1], a[2], a[3]], [b[0], b[1], b[2], b[3]]);
        battery.check_floats("vmovhlps", movehl(a, b), [b[2], b[3], a[2], a[3]]);
        battery.check_floats("vmovshdup", movehdup(a), [a[1], a[1], a[3], a[3]]);
        battery.check_floats("vbroadcastss.256", splat(a[0]), [a[0]; 8]);
    }
}

mod avx2 {
    use super::*;

    type Floats = [f32; 8];
    type Integers = [i32; 8];

    instructions! { "avx2,fma,f16c":
        fmadd = _mm256_fmadd_ps, (a: Floats, b: Floats, c: Floats) -> Floats;
        widen = _mm256_cvtph_ps, (a: [f16; 8]) -> Floats;
        round = _mm256_cvtps_epi32, (a: Floats) -> Integers;
        to_floats = _mm256_cvtepi32_ps, (a: Integers) -> Floats;
        add = _mm256_add_epi32, (a: Integers, b: Integers) -> Integers;
        sub = _mm256_sub_epi32, (a: Integers, b: Integers) -> Integers;
        mullo = _mm256_mullo_epi32, (a: Integers, b: Integers) -> Integers;
        shift = _mm256_slli_epi32::<23>, (a: Integers) -> Integers;
        packs = _mm256_packs_epi32, (a: Integers, b: Integers) -> [i16; 16];
        packus = _mm_packus_epi16, (a: [i16; 8], b: [i16; 8]) -> [u8; 16];
        permute = _mm256_permute4x64_epi64::<0b11_01_10_00>, (a: [i64; 4]) -> [i64; 4];
        upper = _mm256_extracti128_si256::<1>, (a: Integers) -> [i32; 4];
        splat = _mm256_set1_epi32, (a: i32) -> Integers;
        maddubs = _mm256_maddubs_epi16, (a: [u8; 32], b: [i8; 32]) -> [i16; 16];
        madd = _mm256_madd_epi16, (a: [i16; 16], b: [i16; 16]) -> Integers;
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn check(battery: &mut Battery, dice: &mut Dice) {
        let (a, b, c): (Floats, Floats, Floats) = (dice.floats(), dice.floats(), dice.floats());
        let expected = std::array::from_fn(|i| fused(a[i], b[i], c[i]));
        battery.check_floats("vfmadd.256", fmadd(a, b, c), expected);
        let halves: [f16; 8] = std::array::from_fn(|_| f16::from_bits(dice.bits() as u16));
        battery.check_floats("vcvtph2ps.256", widen(halves), halves.map(f16::to_f32_const));
        let small = dice.small_floats();
        battery.check("vcvtps2dq.256", round(small), small.map(nearest));
        let (a, b): (Integers, Integers) = (dice.integers(), dice.integers());
        battery.check_floats("vcvtdq2ps.256", to_floats(a), a.map(|a| a as f32));
        battery.check("vpaddd.256", add(a, b), lanes(a, b, i32::wrapping_add));
        battery.check("vpsubd.256", sub(a, b), lanes(a, b, i32::wrapping_sub));
        battery.check("vpmulld.256", mullo(a, b), lanes(a, b, i32::wrapping_mul));
        battery.check("vpslld.256", shift(a), a.map(|a| a << 23));
        let short = |value: i32| value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let from = |i: usize| if i % 8 < 4 { a[i / 8 * 4 + i % 4] } else { b[i / 8 * 4 + i % 4] };
        battery.check("vpackssdw.256", packs(a, b), std::array::from_fn(|i| short(from(i))));
        let (c, d): ([i16; 8], [i16; 8]) = (dice.shorts(), dice.shorts());
        let byte = |value: i16| value.clamp(0, 255) as u8;
        let expected = std::array::from_fn(|i| byte(if i < 8 { c[i] } else { d[i - 8] }));
        battery.check("vpackuswb.128", packus(c, d), expected);
        let quarters = a.map(i64::from);
        let [first, second, third, fourth, ..] = quarters;
        let found = permute([first, second, third, fourth]);
        battery.check("vpermq", found, [first, third, second, fourth]);
        battery.check("vextracti128", upper(a), [a[4], a[5], a[6], a[7]]);
        battery.check("vpbroadcastd.256", splat(a[0]), [a[0]; 8]);
        let (inputs, weights) = (dice.bytes(), dice.signed_bytes());
        battery.check("vpmaddubsw.256", maddubs(inputs, weights), pairs_of_bytes(inputs, weights));
        let (c, d) = (dice.shorts(), dice.shorts());
        battery.check("vpmaddwd.256", madd(c, d), pairs_of_shorts(c, d));
    }
}

mod avx512 {
    use super::*;

    type Floats = [f32; 16];
    type Integers = [i32; 16];

    instructions! { "avx512f,avx512bw":
        add = _mm512_add_ps, (a: Floats, b: Floats) -> Floats;
        sub = _mm512_sub_ps, (a: Floats, b: Floats) -> Floats;
        mul = _mm512_mul_ps, (a: Floats, b: Floats) -> Floats;
        div = _mm512_div_ps, (a: Floats, b: Floats) -> Floats;
        min = _mm512_min_ps, (a: Floats, b: Floats) -> Floats;
        max = _mm512_max_ps, (a: Floats, b: Floats) -> Floats;
        fmadd = _mm512_fmadd_ps, (a: Floats, b: Floats, c: Floats) -> Floats;
        less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>, (a: Floats, b: Floats) -> u16;
        keep = _mm512_maskz_mov_ps, (mask: u16, a: Floats) -> Floats;
        splat = _mm512_set1_ps, (a: f32) -> Floats;
        least_of = _mm512_reduce_min_ps, (a: Floats) -> f32;
        largest_of = _mm512_reduce_max_ps, (a: Floats) -> f32;
        widen = _mm512_cvtph_ps, (a: [f16; 16]) -> Floats;
        round = _mm512_cvtps_epi32, (a: Floats) -> Integers;
        to_floats = _mm512_cvtepi32_ps, (a: Integers) -> Floats;
        narrow = _mm512_cvtepi32_epi8, (a: Integers) -> [i8; 16];
        add_integers = _mm512_add_epi32, (a: Integers, b: Integers) -> Integers;
        sub_integers = _mm512_sub_epi32, (a: Integers, b: Integers) -> Integers;
        mullo = _mm512_mullo_epi32, (a: Integers, b: Integers) -> Integers;
        shift = _mm512_slli_epi32::<23>, (a: Integers) -> Integers;
        splat_integer = _mm512_set1_epi32, (a: i32) -> Integers;
        upper = _mm512_extractf64x4_pd::<1>, (a: [f64; 8]) -> [f64; 4];
        maddubs = _mm512_maddubs_epi16, (a: [u8; 64], b: [i8; 64]) -> [i16; 32];
        madd = _mm512_madd_epi16, (a: [i16; 32], b: [i16; 32]) -> Integers;
    }

    /// Returns the mask of the lanes in which `a` is less than `b`.
    ///
    /// Must not be inlined into [`check`], where the compiler shifts mask registers to compute it: Bochs 3.11 takes a
    /// `kshiftlw` by 15 for zero.
    #[inline(never)]
    fn mask_of(a: Floats, b: Floats) -> u16 {
        (0..16).map(|i| u16::from(a[i] < b[i]) << i).sum()
    }

    /// Returns `values` with zeros in the lanes that the mask excludes. Must not be inlined, like [`mask_of`].
    #[inline(never)]
    fn masked(mask: u16, values: Floats) -> Floats {
        std::array::from_fn(|i| if mask >> i & 1 == 1 { values[i] } else { 0.0 })
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn check(battery: &mut Battery, dice: &mut Dice) {
        let (a, b, c): (Floats, Floats, Floats) = (dice.floats(), dice.floats(), dice.floats());
        battery.check_floats("vaddps.512", add(a, b), lanes(a, b, |a, b| a + b));
        battery.check_floats("vsubps.512", sub(a, b), lanes(a, b, |a, b| a - b));
        battery.check_floats("vmulps.512", mul(a, b), lanes(a, b, |a, b| a * b));
        battery.check_floats("vdivps.512", div(a, b), lanes(a, b, |a, b| a / b));
        battery.check_floats("vminps.512", min(a, b), lanes(a, b, least));
        battery.check_floats("vmaxps.512", max(a, b), lanes(a, b, largest));
        let expected = std::array::from_fn(|i| fused(a[i], b[i], c[i]));
        battery.check_floats("vfmadd.512", fmadd(a, b, c), expected);
        let mask = mask_of(a, b);
        battery.check("vcmpltps.512", less(a, b), mask);
        battery.check_floats("vmovups.maskz", keep(mask, c), masked(mask, c));
        battery.check_floats("vbroadcastss.512", splat(a[0]), [a[0]; 16]);
        let small: Floats = dice.small_floats();
        let found = [least_of(small), largest_of(small)];
        let expected = [f32::min, f32::max].map(|f| small.into_iter().reduce(f).unwrap());
        battery.check_floats("reduction.512", found, expected);
        let halves: [f16; 16] = std::array::from_fn(|_| f16::from_bits(dice.bits() as u16));
        battery.check_floats("vcvtph2ps.512", widen(halves), halves.map(f16::to_f32_const));
        battery.check("vcvtps2dq.512", round(small), small.map(nearest));
        let (a, b): (Integers, Integers) = (dice.integers(), dice.integers());
        battery.check_floats("vcvtdq2ps.512", to_floats(a), a.map(|a| a as f32));
        battery.check("vpmovdb", narrow(a), a.map(|a| a as i8));
        battery.check("vpaddd.512", add_integers(a, b), lanes(a, b, i32::wrapping_add));
        battery.check("vpsubd.512", sub_integers(a, b), lanes(a, b, i32::wrapping_sub));
        battery.check("vpmulld.512", mullo(a, b), lanes(a, b, i32::wrapping_mul));
        battery.check("vpslld.512", shift(a), a.map(|a| a << 23));
        battery.check("vpbroadcastd.512", splat_integer(a[0]), [a[0]; 16]);
        let wide: [f64; 8] = std::array::from_fn(|i| f64::from(a[i]));
        battery.check("vextractf64x4", upper(wide), [wide[4], wide[5], wide[6], wide[7]]);
        let (inputs, weights) = (dice.bytes(), dice.signed_bytes());
        battery.check("vpmaddubsw.512", maddubs(inputs, weights), pairs_of_bytes(inputs, weights));
        let (c, d) = (dice.shorts(), dice.shorts());
        battery.check("vpmaddwd.512", madd(c, d), pairs_of_shorts(c, d));
    }
}

mod vnni {
    use super::*;

    instructions! { "avx512f,avx512vnni":
        dpbusd = _mm512_dpbusd_epi32, (sums: [i32; 16], a: [u8; 64], b: [i8; 64]) -> [i32; 16];
    }
}

mod bf16 {
    use super::*;

    instructions! { "avx512f,avx512bf16":
        dot = _mm512_dpbf16_ps, (sums: [f32; 16], a: [u16; 32], b: [u16; 32]) -> [f32; 16];
    }
}

mod avxvnni {
    use super::*;

    instructions! { "avxvnni":
        dpbusd = _mm256_dpbusd_avx_epi32, (sums: [i32; 8], a: [u8; 32], b: [i8; 32]) -> [i32; 8];
    }
}
