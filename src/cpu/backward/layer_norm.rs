//! Backward pass of layer normalization, and of the sum before it.

use crate::attribution::{NormRule, Shares};
use crate::cpu::executor::Executor;
use crate::cpu::ops::layer_norm::{TASK_ROWS, statistics};
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel, SelectedIsa};
use crate::model::weights::LayerNorm;

/// Gradient of one layer normalization over some rows.
pub(super) struct NormBackward<'a> {
    pub norm: &'a LayerNorm,
    pub rule: NormRule,
    /// Values that the rule needs: the rows before normalization, or one over each row's deviation.
    pub saved: &'a [f32],
    /// Bias of the linear layer before it.
    pub bias: &'a [f32],
}

impl NormBackward<'_> {
    /// Replaces the gradient of the output with that of the input. `shares` has one for each row.
    pub fn backpropagate(
        self,
        executor: &mut Executor<'_>,
        gradient: &mut [f32],
        shares: &mut [Shares],
    ) {
        let isa = executor.isa;
        let dim = self.norm.weight.len();
        let parts = (Chunks::new(gradient, TASK_ROWS * dim), Chunks::new(shares, TASK_ROWS));
        executor.leader.for_each(parts, |task, (gradients, shares)| {
            isa.dispatch(NormRows { step: &self, first_row: task * TASK_ROWS, gradients, shares });
        });
    }
}

/// Replaces gradients of outputs with those of inputs for constant deviations, without dividing by the deviations.
pub(super) fn backpropagate_undivided(isa: SelectedIsa, norm: &LayerNorm, gradients: &mut [f32]) {
    isa.dispatch(UndividedRows { norm, gradients });
}

struct UndividedRows<'a> {
    norm: &'a LayerNorm,
    gradients: &'a mut [f32],
}

impl Kernel for UndividedRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { norm, gradients } = self;
        for gradient in gradients.chunks_exact_mut(norm.weight.len()) {
            constant_deviation(isa, norm, &norm.bias, 1.0, gradient);
        }
    }
}

/// A task: some rows.
struct NormRows<'a> {
    step: &'a NormBackward<'a>,
    first_row: usize,
    gradients: &'a mut [f32],
    shares: &'a mut [Shares],
}

impl Kernel for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { step: &NormBackward { norm, rule, saved, bias }, first_row, .. } = self;
        let dim = norm.weight.len();
        let each = self.gradients.chunks_exact_mut(dim).zip(self.shares);
        for (row, (gradient, share)) in (first_row..).zip(each) {
            *share += match rule {
                NormRule::Gradient => {
                    gradient_rule(isa, norm, bias, &saved[row * dim..(row + 1) * dim], gradient)
                }
                NormRule::HoldDeviation => {
                    constant_deviation(isa, norm, bias, saved[row], gradient)
                }
            };
        }
    }
}

/// Backpropagates through one row. With `u` the gradient times the weight and `n` the normalized input, the gradient is
/// `(u − mean(u) − n · mean(u · n)) / deviation`.
#[inline(always)]
fn gradient_rule<I: Isa>(
    isa: I,
    norm: &LayerNorm,
    bias: &[f32],
    input: &[f32],
    gradient: &mut [f32],
) -> Shares {
    let dim = input.len() as f32;
    let (mean, inverse) = statistics(isa, input, norm.eps);
    let [mean_vector, inverse_vector] = [mean, inverse].map(|value| isa.splat(value));
    let normal = |at| isa.mul(isa.sub(load_at(isa, input, at), mean_vector), inverse_vector);

    let mut sums = [isa.splat(0.0); 3];
    for at in starts(isa, gradient.len()) {
        let g = load_at(isa, gradient, at);
        let u = isa.mul(g, load_at(isa, &norm.weight, at));
        sums[0] = isa.add(sums[0], u);
        sums[1] = isa.mul_add(g, load_at(isa, &norm.bias, at), sums[1]);
        sums[2] = isa.mul_add(u, normal(at), sums[2]);
        store_at(isa, u, gradient, at);
    }
    let [u, own_bias, u_normal] = sums.map(|sum| isa.sum(sum));
    let [mean_u, mean_u_normal] = [u / dim, u_normal / dim].map(|value| isa.splat(value));
    for at in starts(isa, gradient.len()) {
        let g = isa.sub(load_at(isa, gradient, at), mean_u);
        let g = isa.sub(g, isa.mul(normal(at), mean_u_normal));
        store_at(isa, isa.mul(g, inverse_vector), gradient, at);
    }
    Shares {
        bias: f64::from(own_bias) + f64::from(dot(isa, gradient, bias)),
        // The relevance `u · n` is absorbed, except for the share of `eps` in the variance, which is below rounding.
        layer_norm: f64::from(u_normal),
        ..Shares::default()
    }
}

/// Backpropagates through one row as [`gradient_rule`] does, without the last term. `inverse` is one over the
/// deviation.
#[inline(always)]
fn constant_deviation<I: Isa>(
    isa: I,
    norm: &LayerNorm,
    bias: &[f32],
    inverse: f32,
    gradient: &mut [f32],
) -> Shares {
    let mut sums = [isa.splat(0.0); 2];
    for at in starts(isa, gradient.len()) {
        let g = load_at(isa, gradient, at);
        sums[0] = isa.mul_add(g, load_at(isa, &norm.weight, at), sums[0]);
        sums[1] = isa.mul_add(g, load_at(isa, &norm.bias, at), sums[1]);
    }
    let [u, own_bias] = sums.map(|sum| isa.sum(sum));
    let [mean, inverse] = [u / gradient.len() as f32, inverse].map(|value| isa.splat(value));
    let mut sum = isa.splat(0.0);
    for at in starts(isa, gradient.len()) {
        let u = isa.mul(load_at(isa, gradient, at), load_at(isa, &norm.weight, at));
        let g = isa.mul(isa.sub(u, mean), inverse);
        sum = isa.mul_add(g, load_at(isa, bias, at), sum);
        store_at(isa, g, gradient, at);
    }
    Shares { bias: f64::from(own_bias) + f64::from(isa.sum(sum)), ..Shares::default() }
}
