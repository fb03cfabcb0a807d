//! The activations of the feed-forward network and of the head.

use super::isa::Isa;
use super::math::erf;

/// The exact GELU, `x · Φ(x) = x/2 · (1 + erf(x/√2))` (Hendrycks and Gimpel, arXiv 1606.08415).
#[inline(always)]
pub(crate) fn gelu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.mul(x, isa.splat(0.5));
    isa.mul_add(half, erf, half)
}

#[inline(always)]
pub(crate) fn relu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    isa.max(x, isa.splat(0.0))
}
