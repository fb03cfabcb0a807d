//! Backward pass of multi-head attention with constant probabilities: a value's gradient is the sum of the contexts'
//! gradients, weighted by the probabilities.

use super::attention::AttentionBackwardScratch;
use crate::attribution::Shares;
use crate::cpu::executor::Executor;
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::ops::attention::score_stride;
use crate::cpu::ops::probabilities::{HeadProbabilities, SavedProbabilities};
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::parallel::tiles::{ColumnBlocks, RowBlocks, Tile, Tiles};
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::lanes::{load_at, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Attention of one layer over a batch, and the gradient of its output.
pub(super) struct ConstantAttentionBackward<'a> {
    pub heads: usize,
    pub head_size: usize,
    pub sequences: &'a Sequences,
    pub probabilities: &'a SavedProbabilities,
    /// `heads · head_size` values for each token.
    pub context_gradient: &'a [f32],
    /// Bias of the values.
    pub bias: &'a [f32],
}

impl ConstantAttentionBackward<'_> {
    /// Writes the gradient of each token's value. `shares` has one for each sequence and head.
    pub fn backpropagate(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [AttentionBackwardScratch],
        value: &mut [f32],
        shares: &mut [Shares],
    ) {
        let &Self { heads, head_size, sequences, .. } = self;
        let (isa, panel) = (executor.isa, executor.isa.shape().panel);
        let longest = sequences.longest();
        scratch.iter_mut().for_each(|scratch| scratch.resize(panel, longest, head_size));
        let rows = RowBlocks::Sequences(sequences);
        let value =
            Tiles::new((value, heads * head_size), rows, ColumnBlocks::even(heads, head_size));
        let parts = (value, Chunks::new(shares, 1));
        executor.leader.for_each_with(scratch, parts, |scratch, task, (value, share)| {
            share[0].bias += isa.dispatch(Head { step: self, task, scratch, value });
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a ConstantAttentionBackward<'a>,
    task: usize,
    scratch: &'a mut AttentionBackwardScratch,
    value: Tile<'a>,
}

impl Kernel for Head<'_> {
    /// The sum of the values' gradients times their bias.
    type Output = f64;

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) -> f64 {
        let &ConstantAttentionBackward {
            heads,
            head_size,
            sequences,
            probabilities,
            context_gradient,
            bias,
        } = self.step;
        let dim = heads * head_size;
        let (tokens, columns) = (self.value.rows(), self.value.columns());
        let len = tokens.len();
        let HeadProbabilities { exponentials, inverse_sums } =
            probabilities.of_head(self.task, heads, sequences);
        let bias = &bias[columns.clone()];
        let (panels, sums) = self.scratch.columns_and_sums();
        let mut total = 0.0;
        for first in (0..head_size).step_by(I::PANEL) {
            let width = I::PANEL.min(head_size - first);
            let start = columns.start + first;
            let panel = &mut panels[..len * I::PANEL];
            for ((step, row), inverse_sum) in
                panel.chunks_exact_mut(I::PANEL).zip(tokens.clone()).zip(inverse_sums)
            {
                let gradient = &context_gradient[row * dim + start..][..width];
                for (to, gradient) in step.iter_mut().zip(gradient) {
                    *to = gradient * inverse_sum;
                }
                step[width..].fill(0.0);
            }
            let exponentials = (exponentials, score_stride(I::PANEL, len));
            multiply_panel(isa, exponentials, (len, len), panel, (&mut *sums, I::PANEL), |_| ());
            for at in (0..width).step_by(I::LANES) {
                let mut column_sums = isa.splat(0.0);
                for (row, sums) in tokens.clone().zip(sums.chunks_exact(I::PANEL)) {
                    let to = self.value.part(row, start + at..start + width);
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
