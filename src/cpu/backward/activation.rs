//! Backward pass of the feed-forward network's activation.

use crate::attribution::Shares;
use crate::cpu::executor::Executor;
use crate::cpu::gemm::rows::Rows;
use crate::cpu::ops::activation::{normal_density, normal_distribution};
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};
use crate::model::config::Activation;

/// Rows of one task: a few microseconds.
const TASK_ROWS: usize = 4;

/// Adds to each row's shares its gradients times the bias. Rows are as long as the bias.
pub(super) fn add_bias_shares(
    executor: &mut Executor<'_>,
    gradients: Rows<'_>,
    bias: &[f32],
    shares: &mut [Shares],
) {
    let isa = executor.isa;
    executor.leader.for_each(Chunks::new(shares, TASK_ROWS), |task, shares| {
        let first_row = task * TASK_ROWS;
        isa.dispatch(BiasShares { gradients, first_row, bias, shares });
    });
}

/// A task of [`add_bias_shares`]: some rows.
struct BiasShares<'a> {
    gradients: Rows<'a>,
    first_row: usize,
    bias: &'a [f32],
    shares: &'a mut [Shares],
}

impl Kernel for BiasShares<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { gradients, first_row, bias, shares } = self;
        for (row, share) in (first_row..).zip(shares) {
            let gradients = &gradients.values[row * gradients.stride..][..bias.len()];
            share.bias += f64::from(dot(isa, gradients, bias));
        }
    }
}

/// Gradient of the activation over some rows.
pub(super) struct ActivationBackward<'a> {
    pub activation: Activation,
    /// Saved inputs: rows as long as the bias, `stride` values apart.
    pub inputs: &'a [f32],
    pub stride: usize,
    /// Bias of the linear layer before it.
    pub bias: &'a [f32],
}

impl ActivationBackward<'_> {
    /// Replaces the gradient of the output with that of the input. Its rows are `stride` values apart as well; `shares`
    /// has one for each row.
    pub fn backpropagate(
        self,
        executor: &mut Executor<'_>,
        gradient: &mut [f32],
        shares: &mut [Shares],
    ) {
        let isa = executor.isa;
        let chunk = TASK_ROWS * self.stride;
        let parts = (Chunks::new(gradient, chunk), Chunks::new(shares, TASK_ROWS));
        executor.leader.for_each(parts, |task, (gradients, shares)| {
            let inputs = &self.inputs[task * chunk..];
            isa.dispatch(ActivationRows { step: &self, inputs, gradients, shares });
        });
    }
}

/// A task: some rows.
struct ActivationRows<'a> {
    step: &'a ActivationBackward<'a>,
    inputs: &'a [f32],
    gradients: &'a mut [f32],
    shares: &'a mut [Shares],
}

impl Kernel for ActivationRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        match self.step.activation {
            Activation::Relu => {
                self.each(isa, |isa, x, g| {
                    (isa.keep_if_less(isa.splat(0.0), x, g), isa.splat(0.0))
                });
            }
            // The derivative is `Φ + x · φ`, so the output falls short of the input by `x² · φ`.
            Activation::Gelu => self.each(isa, |isa, x, g| {
                let slope = isa.mul(x, normal_density(isa, x));
                let lost = isa.mul(isa.mul(g, x), slope);
                (isa.mul(g, isa.add(normal_distribution(isa, x), slope)), lost)
            }),
        }
    }
}

impl ActivationRows<'_> {
    /// Replaces each gradient. `derivative` returns the gradient of the input, and the input's relevance minus the
    /// output's.
    #[inline(always)]
    fn each<I: Isa>(self, isa: I, derivative: impl Fn(I, I::F32, I::F32) -> (I::F32, I::F32)) {
        let Self { step: &ActivationBackward { bias, stride, .. }, inputs, gradients, shares } =
            self;
        for (row, share) in shares.iter_mut().enumerate() {
            let values = row * stride..row * stride + bias.len();
            let (input, gradient) = (&inputs[values.clone()], &mut gradients[values]);
            let mut sums = [isa.splat(0.0); 2];
            for at in starts(isa, gradient.len()) {
                let (g, gained) =
                    derivative(isa, load_at(isa, input, at), load_at(isa, gradient, at));
                sums[0] = isa.mul_add(g, load_at(isa, bias, at), sums[0]);
                sums[1] = isa.add(sums[1], gained);
                store_at(isa, g, gradient, at);
            }
            let [bias, gained] = sums.map(|sum| f64::from(isa.sum(sum)));
            *share += Shares { bias, gelu: -gained, ..Shares::default() };
        }
    }
}
