//! The activations of the feed-forward network and of the head.

use crate::cpu::ops::math::erf;
#[cfg(feature = "explain")]
use crate::cpu::ops::math::exp;
use crate::cpu::simd::Isa;

/// Returns the exact GELU, `x · Φ(x) = x/2 · (1 + erf(x/√2))` (Hendrycks and Gimpel, arXiv 1606.08415).
#[inline(always)]
pub(crate) fn gelu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.mul(x, isa.splat(0.5));
    isa.mul_add(half, erf, half)
}

/// Returns GELU and its quotient by `x`, which is `Φ(x)`. The first has [`gelu`]'s bits.
#[inline(always)]
pub(crate) fn gelu_and_quotient<I: Isa>(isa: I, x: I::F32) -> (I::F32, I::F32) {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.splat(0.5);
    let half_x = isa.mul(x, half);
    (isa.mul_add(half_x, erf, half_x), isa.mul_add(half, erf, half))
}

/// Returns `Φ(x)`, the share of the normal distribution below `x`.
#[cfg(feature = "explain")]
#[inline(always)]
pub(crate) fn normal_distribution<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.splat(0.5);
    isa.mul_add(half, erf, half)
}

/// Returns `φ(x) = e^(−x²/2) / √(2π)`, the derivative of `Φ`.
#[cfg(feature = "explain")]
#[inline(always)]
pub(crate) fn normal_density<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    const ROOT: f32 = 0.398_942_3;
    let exponent = isa.mul(isa.mul(x, x), isa.splat(-0.5));
    isa.mul(exp(isa, exponent), isa.splat(ROOT))
}

#[inline(always)]
pub(crate) fn relu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    isa.max(x, isa.splat(0.0))
}
