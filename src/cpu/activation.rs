//! The activations of the feed-forward network and of the head.

use super::isa::{Isa, Kernel};
use super::lanes::{load_at, starts, store_at};
use super::math::{erf, exp};
use super::team::{Parts, Team};
use crate::attribution::ActivationRule;
use crate::config::Activation;

/// Values of one task of [`activate`]: a few microseconds.
const TASK_VALUES: usize = 16 * 1024;

/// The exact GELU, `x · Φ(x) = x/2 · (1 + erf(x/√2))` (Hendrycks and Gimpel, arXiv 1606.08415).
#[inline(always)]
pub(crate) fn gelu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.mul(x, isa.splat(0.5));
    isa.mul_add(half, erf, half)
}

/// GELU and its quotient by `x`, which is `Φ(x)`. The first is [`gelu`]'s, bit for bit.
#[inline(always)]
fn gelu_and_quotient<I: Isa>(isa: I, x: I::F32) -> (I::F32, I::F32) {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.splat(0.5);
    let half_x = isa.mul(x, half);
    (isa.mul_add(half_x, erf, half_x), isa.mul_add(half, erf, half))
}

/// `Φ(x)`, the share of the normal distribution below `x`.
#[inline(always)]
pub(crate) fn normal_distribution<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let erf = erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = isa.splat(0.5);
    isa.mul_add(half, erf, half)
}

/// `φ(x) = e^(−x²/2) / √(2π)`, the derivative of `Φ`.
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

/// Applies an activation where something is kept for the way back; otherwise it is part of the product
/// that makes its input.
///
/// `kept` has the input, and gets what the rule needs: it stays, or becomes the quotient of output and
/// input.
pub(crate) fn activate<I: Isa>(
    isa: I,
    team: &Team,
    (activation, rule): (Activation, ActivationRule),
    kept: &mut [f32],
    output: &mut [f32],
) {
    let len = kept.len();
    let (kept, output) = (Parts::new(kept), Parts::new(output));
    team.for_each(len.div_ceil(TASK_VALUES), |_, task| {
        let values = task * TASK_VALUES..len.min((task + 1) * TASK_VALUES);
        // SAFETY: each task takes the values of its own.
        let (kept, output) = unsafe { (kept.part(values.clone()), output.part(values)) };
        isa.run(Activate { activation, rule, kept, output });
    });
}

struct Activate<'a> {
    activation: Activation,
    rule: ActivationRule,
    kept: &'a mut [f32],
    output: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        // A loop for each, in which the rule is a constant.
        match (self.activation, self.rule) {
            (Activation::Gelu, ActivationRule::Gradient) => {
                self.each(isa, |isa, x| (gelu(isa, x), x));
            }
            (Activation::Gelu, ActivationRule::HoldQuotient) => {
                self.each(isa, |isa, x| gelu_and_quotient(isa, x));
            }
            (Activation::Relu, ActivationRule::Gradient) => {
                self.each(isa, |isa, x| (relu(isa, x), x));
            }
            (Activation::Relu, ActivationRule::HoldQuotient) => {
                self.each(isa, |isa, x| {
                    let one = isa.splat(1.0);
                    (relu(isa, x), isa.keep_if_less(isa.splat(0.0), x, one))
                });
            }
        }
    }
}

impl Activate<'_> {
    /// `function` gives the output and what is kept.
    #[inline(always)]
    fn each<I: Isa>(self, isa: I, function: impl Fn(I, I::F32) -> (I::F32, I::F32)) {
        let Self { kept, output, .. } = self;
        for at in starts(isa, kept.len()) {
            let (y, keep) = function(isa, load_at(isa, kept, at));
            store_at(isa, y, output, at);
            store_at(isa, keep, kept, at);
        }
    }
}
