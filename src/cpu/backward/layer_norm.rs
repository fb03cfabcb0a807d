//! Back through layer normalisation, and the sum before it.

use crate::attribution::{NormRule, Shares};
use crate::cpu::ops::layer_norm::statistics;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};
use crate::model::weights::LayerNorm;

/// Rows of one task: a few microseconds.
const TASK_ROWS: usize = 16;

/// One layer normalisation over some rows.
pub(super) struct NormBackward<'a> {
    pub norm: &'a LayerNorm,
    pub rule: NormRule,
    /// What the rule needs: the rows that were normalized, or one over each row's deviation.
    pub kept: &'a [f32],
    /// The bias of the linear layer that is part of it.
    pub bias: &'a [f32],
}

impl NormBackward<'_> {
    /// Makes the gradient of the input of that of the output, in place. `shares` has one for each row.
    pub fn run<I: Isa>(self, isa: I, team: &Team, gradient: &mut [f32], shares: &mut [Shares]) {
        let dim = self.norm.weight.len();
        let count = gradient.len() / dim;
        let (gradient, shares) = (Parts::new(gradient), Parts::new(shares));
        team.for_each(count.div_ceil(TASK_ROWS), |_, task| {
            for row in task * TASK_ROWS..count.min((task + 1) * TASK_ROWS) {
                // SAFETY: each task takes its own rows.
                let (gradient, share) = unsafe {
                    (gradient.part(row * dim..(row + 1) * dim), shares.part(row..row + 1))
                };
                let step = &self;
                share[0] += match self.rule {
                    NormRule::Gradient => {
                        let input = &self.kept[row * dim..(row + 1) * dim];
                        isa.run(Row { step, input, gradient })
                    }
                    NormRule::HoldDeviation => {
                        isa.run(HeldRow { step, inverse: self.kept[row], gradient })
                    }
                };
            }
        });
    }
}

/// What a held deviation makes of gradients, in place, but for the division by the deviation.
pub(super) fn undivided<I: Isa>(isa: I, norm: &LayerNorm, gradients: &mut [f32]) {
    let step = &NormBackward { norm, rule: NormRule::HoldDeviation, kept: &[], bias: &norm.bias };
    for gradient in gradients.chunks_exact_mut(norm.weight.len()) {
        isa.run(HeldRow { step, inverse: 1.0, gradient });
    }
}

struct Row<'a> {
    step: &'a NormBackward<'a>,
    input: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = Shares;

    /// With `u` the gradient times the weight and `n` the normalized input, the gradient is
    /// `(u − mean(u) − n · mean(u · n)) / deviation`.
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Shares {
        let Self { step: &NormBackward { norm, bias, .. }, input, gradient } = self;
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
            // The sum of `u · n` is all lost but for the part of the variance that is `eps`, which is
            // below rounding.
            layer_norm: f64::from(u_normal),
            ..Shares::default()
        }
    }
}

struct HeldRow<'a> {
    step: &'a NormBackward<'a>,
    /// One over the deviation.
    inverse: f32,
    gradient: &'a mut [f32],
}

impl Kernel for HeldRow<'_> {
    type Output = Shares;

    /// As above without the last term.
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Shares {
        let Self { step: &NormBackward { norm, bias, .. }, inverse, gradient } = self;
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
}
