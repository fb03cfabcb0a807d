//! Back through multi-head attention whose weights are held: of each context's gradient, a value gets as much
//! as it has given.

use std::ops::Range;

use super::attention::AttentionBackwardScratch;
use crate::attribution::Shares;
use crate::cpu::gemm::block::multiply;
use crate::cpu::ops::attention::score_stride;
use crate::cpu::ops::probabilities::{HeadWeights, KeptWeights};
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::lanes::{load_at, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Attention of one layer over a batch, and the gradient of what it made.
pub(super) struct HeldAttentionBackward<'a> {
    pub heads: usize,
    pub head_size: usize,
    /// The tokens of each sequence.
    pub sequences: &'a [Range<usize>],
    pub weights: &'a KeptWeights,
    /// `heads · head_size` values for each token.
    pub context_gradient: &'a [f32],
    /// Of values.
    pub bias: &'a [f32],
}

impl HeldAttentionBackward<'_> {
    /// Writes the gradient of each token's value. `shares` has one for each sequence and head.
    pub fn run<I: Isa>(
        &self,
        isa: I,
        team: &Team,
        scratch: &mut [AttentionBackwardScratch],
        value: &mut [f32],
        shares: &mut [Shares],
    ) {
        let longest = self.sequences.iter().map(Range::len).max().unwrap_or(0);
        scratch.iter_mut().for_each(|scratch| scratch.resize::<I>(longest, self.head_size));
        let (scratch, shares, value) = (Parts::new(scratch), Parts::new(shares), Parts::new(value));
        team.for_each(self.sequences.len() * self.heads, |worker, task| {
            // SAFETY: a worker has one task at a time, and each task its own share.
            let ([scratch], [share]) =
                (unsafe { (scratch.part(worker..worker + 1), shares.part(task..task + 1)) })
            else {
                unreachable!()
            };
            let (sequence, head) = (task / self.heads, task % self.heads);
            share.bias += isa.run(Head { step: self, sequence, head, scratch, value: &value });
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a HeldAttentionBackward<'a>,
    sequence: usize,
    head: usize,
    scratch: &'a mut AttentionBackwardScratch,
    value: &'a Parts<'a>,
}

impl Kernel for Head<'_> {
    /// The sum of values' gradients times their bias.
    type Output = f64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f64 {
        let &HeldAttentionBackward { heads, head_size, sequences, weights, context_gradient, bias } =
            self.step;
        let (dim, column) = (heads * head_size, self.head * head_size);
        let tokens = sequences[self.sequence].clone();
        let len = tokens.len();
        let HeadWeights { exponentials, shares } =
            weights.of_head((self.sequence, self.head), heads, &tokens);
        let bias = &bias[column..][..head_size];
        let (columns, sums) = self.scratch.columns_and_sums();
        let mut total = 0.0;
        for first in (0..head_size).step_by(I::PANEL) {
            let width = I::PANEL.min(head_size - first);
            let panel = &mut columns[..len * I::PANEL];
            for ((step, row), share) in
                panel.chunks_exact_mut(I::PANEL).zip(tokens.clone()).zip(shares)
            {
                let gradient = &context_gradient[row * dim + column + first..][..width];
                for (to, gradient) in step.iter_mut().zip(gradient) {
                    *to = gradient * share;
                }
                step[width..].fill(0.0);
            }
            let exponentials = (exponentials, score_stride::<I>(len));
            multiply(isa, exponentials, (len, len), panel, (&mut *sums, I::PANEL), |_| ());
            for at in (0..width).step_by(I::LANES) {
                let mut column_sums = isa.splat(0.0);
                for (row, sums) in tokens.clone().zip(sums.chunks_exact(I::PANEL)) {
                    let start = row * dim + column + first;
                    // SAFETY: tasks share no pair of a token and a head.
                    let to = unsafe { self.value.part(start + at..start + width) };
                    let sums = isa.load(&sums[at..]);
                    column_sums = isa.add(column_sums, sums);
                    store_at(isa, sums, to, 0);
                }
                let bias = load_at(isa, &bias[first..first + width], at);
                total += f64::from(isa.sum(isa.mul(column_sums, bias)));
            }
        }
        total
    }
}
