//! Back through the activation of the feed-forward network.

use crate::attribution::Shares;
use crate::cpu::ops::activation::{normal_density, normal_distribution};
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::lanes::{Dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};
use crate::model::config::Activation;

/// Rows of one task: a few microseconds.
const TASK_ROWS: usize = 4;

/// Adds to each row's shares its gradients times the bias; rows are as long as the bias, and `stride` apart.
pub(super) fn add_bias_shares<I: Isa>(
    isa: I,
    team: &Team,
    (gradients, stride): (&[f32], usize),
    bias: &[f32],
    shares: &mut [Shares],
) {
    let count = shares.len();
    let shares = Parts::new(shares);
    team.for_each(count.div_ceil(TASK_ROWS), |_, task| {
        for row in task * TASK_ROWS..count.min((task + 1) * TASK_ROWS) {
            // SAFETY: each task takes its own rows.
            let share = unsafe { shares.part(row..row + 1) };
            let gradients = &gradients[row * stride..][..bias.len()];
            share[0].bias += f64::from(isa.run(Dot(gradients, bias)));
        }
    });
}

/// The activation over some rows, by its gradient.
pub(super) struct ActivationBackward<'a> {
    pub activation: Activation,
    /// What it got: rows as long as the bias, `stride` apart.
    pub kept: &'a [f32],
    pub stride: usize,
    /// The bias that is part of it.
    pub bias: &'a [f32],
}

impl ActivationBackward<'_> {
    /// Makes the gradient of the input of that of the output, in place; its rows are `stride` apart as
    /// well. `shares` has one for each row.
    pub fn run<I: Isa>(self, isa: I, team: &Team, gradient: &mut [f32], shares: &mut [Shares]) {
        let (stride, width) = (self.stride, self.bias.len());
        let count = gradient.len() / stride;
        let (gradient, shares) = (Parts::new(gradient), Parts::new(shares));
        team.for_each(count.div_ceil(TASK_ROWS), |_, task| {
            for row in task * TASK_ROWS..count.min((task + 1) * TASK_ROWS) {
                let values = row * stride..row * stride + width;
                // SAFETY: each task takes its own rows.
                let (gradient, share) =
                    unsafe { (gradient.part(values.clone()), shares.part(row..row + 1)) };
                share[0] += isa.run(Row { step: &self, kept: &self.kept[values], gradient });
            }
        });
    }
}

struct Row<'a> {
    step: &'a ActivationBackward<'a>,
    kept: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = Shares;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Shares {
        match self.step.activation {
            Activation::Relu => {
                self.each(isa, |isa, x, g| (isa.keep_if_less(isa.splat(0.0), x, g), isa.splat(0.0)))
            }
            // The derivative is `Φ + x · φ`, so `x² · φ` is what comes out short of what goes in.
            Activation::Gelu => self.each(isa, |isa, x, g| {
                let slope = isa.mul(x, normal_density(isa, x));
                let lost = isa.mul(isa.mul(g, x), slope);
                (isa.mul(g, isa.add(normal_distribution(isa, x), slope)), lost)
            }),
        }
    }
}

impl Row<'_> {
    /// `derivative` gives the gradient of the input, and what relevance gains on the way back.
    #[inline(always)]
    fn each<I: Isa>(
        self,
        isa: I,
        derivative: impl Fn(I, I::F32, I::F32) -> (I::F32, I::F32),
    ) -> Shares {
        let Self { step, kept, gradient } = self;
        let mut sums = [isa.splat(0.0); 2];
        for at in starts(isa, gradient.len()) {
            let (g, gained) = derivative(isa, load_at(isa, kept, at), load_at(isa, gradient, at));
            sums[0] = isa.mul_add(g, load_at(isa, step.bias, at), sums[0]);
            sums[1] = isa.add(sums[1], gained);
            store_at(isa, g, gradient, at);
        }
        let [bias, gained] = sums.map(|sum| f64::from(isa.sum(sum)));
        Shares { bias, gelu: -gained, ..Shares::default() }
    }
}
