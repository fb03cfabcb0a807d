//! Attention of a single query per sequence, with the key and value matrices applied to the query and to the result
//! rather than to every token.
//!
//! A score is `q · (K x + b)`. With one query, `(Kᵀ q) · x` takes fewer operations; `q · b` is the same for every token,
//! so that softmax cancels it. And as the probabilities sum to one, the average of the values `V x + b` is `V` times the
//! average of the inputs, plus `b`.

use std::ops::Range;

use super::float::FloatAttention;
use crate::cpu::executor::Executor;
use crate::cpu::gemm::rows::Rows;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::lanes::{load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Tokens whose sums are in registers at once.
const TOKENS: usize = 4;

/// Attention of one query per sequence over the inputs of a layer.
pub(crate) struct AbsorbedAttention<'a> {
    pub heads: usize,
    pub head_size: usize,
    pub sequences: &'a Sequences,
    /// A row of the layer's input for each token.
    pub inputs: Rows<'a>,
    /// `[sequences · heads, dim]`: `Kᵀ q` of each query and head.
    pub queries: &'a [f32],
}

impl AbsorbedAttention<'_> {
    /// Writes the weighted average of the inputs for each query and head, `[sequences · heads, dim]`.
    pub fn average(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [FloatAttention],
        averages: &mut [f32],
    ) {
        let (isa, panel) = (executor.isa, executor.isa.shape().panel);
        let longest = self.sequences.longest();
        // Every thread gets room for the longest sequence, so that no later call allocates.
        scratch.iter_mut().for_each(|scratch| scratch.resize_row(panel, longest));
        let dim = self.inputs.stride;
        executor.leader.for_each_with(scratch, Chunks::new(averages, dim), |scratch, task, to| {
            isa.dispatch(Head { attention: self, scratch, task, to });
        });
    }

    /// Writes the exponentials of the scores of one head and sequence to the first values of `weights`. Returns one over
    /// their sum.
    #[inline(always)]
    pub fn weights<I: Isa>(&self, isa: I, task: usize, weights: &mut [f32]) -> f32 {
        let tokens = self.sequences.tokens_of(task / self.heads);
        let len = tokens.len();
        self.dots(isa, &self.queries[task * self.inputs.stride..], tokens, weights);
        exponentials(isa, weights, len, 1.0 / (self.head_size as f32).sqrt())
    }

    /// Writes the dot product of a vector and each token's input.
    #[inline(always)]
    pub fn dots<I: Isa>(&self, isa: I, vector: &[f32], tokens: Range<usize>, to: &mut [f32]) {
        let dim = self.inputs.stride;
        let vector = &vector[..dim];
        let to = &mut to[..tokens.len()];
        let mut rows = self.inputs.values[tokens.start * dim..].chunks_exact(dim);
        let mut blocks = to.chunks_exact_mut(TOKENS);
        for block in &mut blocks {
            let rows: [&[f32]; TOKENS] = std::array::from_fn(|_| rows.next().unwrap_or_default());
            block.copy_from_slice(&dots(isa, vector, rows));
        }
        for (to, row) in blocks.into_remainder().iter_mut().zip(rows) {
            [*to] = dots(isa, vector, [row]);
        }
    }

    /// Writes the sum of the tokens' inputs, each times its weight.
    #[inline(always)]
    pub fn sum<I: Isa>(&self, isa: I, tokens: Range<usize>, weights: &[f32], to: &mut [f32]) {
        let dim = self.inputs.stride;
        to.fill(0.0);
        let mut rows = self.inputs.values[tokens.start * dim..].chunks_exact(dim);
        let mut blocks = weights[..tokens.len()].chunks_exact(TOKENS);
        for weights in &mut blocks {
            let rows: [&[f32]; TOKENS] = std::array::from_fn(|_| rows.next().unwrap_or_default());
            add_scaled(isa, rows, weights, to);
        }
        for (weight, row) in blocks.remainder().iter().zip(rows) {
            add_scaled(isa, [row], std::slice::from_ref(weight), to);
        }
    }
}

/// Returns the dot product of a vector and each row. A product's sum does not depend on the other rows.
#[inline(always)]
fn dots<I: Isa, const N: usize>(isa: I, vector: &[f32], rows: [&[f32]; N]) -> [f32; N] {
    let mut sums = [isa.splat(0.0); N];
    for at in starts(isa, vector.len()) {
        let part = load_at(isa, vector, at);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = isa.mul_add(part, load_at(isa, row, at), *sum);
        }
    }
    sums.map(|sum| isa.sum(sum))
}

/// Adds each row times its weight, one row after the other.
#[inline(always)]
fn add_scaled<I: Isa, const N: usize>(
    isa: I,
    rows: [&[f32]; N],
    weights: &[f32],
    sums: &mut [f32],
) {
    for at in starts(isa, sums.len()) {
        let mut sum = load_at(isa, sums, at);
        for (row, &weight) in rows.into_iter().zip(weights) {
            sum = isa.mul_add(load_at(isa, row, at), isa.splat(weight), sum);
        }
        store_at(isa, sum, sums, at);
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    attention: &'a AbsorbedAttention<'a>,
    scratch: &'a mut FloatAttention,
    task: usize,
    to: &'a mut [f32],
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { attention, scratch, task, to } = self;
        let tokens = attention.sequences.tokens_of(task / attention.heads);
        let weights = scratch.row(I::PANEL, tokens.len());
        let inverse_sum = attention.weights(isa, task, weights);
        attention.sum(isa, tokens, weights, to);
        let inverse_sum = isa.splat(inverse_sum);
        for at in starts(isa, to.len()) {
            store_at(isa, isa.mul(load_at(isa, to, at), inverse_sum), to, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::parallel::threads::Threads;
    use crate::cpu::simd::{SelectedIsa, on_every_isa};
    use crate::testing::{assert_all_close, random, sizes};

    struct Case {
        heads: usize,
        head_size: usize,
        lengths: Vec<usize>,
    }

    impl Case {
        fn dim(&self) -> usize {
            self.heads * self.head_size
        }

        fn inputs(&self) -> Vec<f32> {
            random(1, self.lengths.iter().sum::<usize>() * self.dim())
        }

        fn queries(&self) -> Vec<f32> {
            random(2, self.lengths.len() * self.heads * self.dim())
        }

        /// The naive float64 loop.
        fn expected(&self) -> Vec<f64> {
            let (dim, inputs, queries) = (self.dim(), self.inputs(), self.queries());
            let input = |token: usize, column: usize| f64::from(inputs[token * dim + column]);
            let sequences: Sequences = self.lengths.iter().copied().collect();
            let mut averages = Vec::new();
            for (task, query) in queries.chunks_exact(dim).enumerate() {
                let tokens = sequences.tokens_of(task / self.heads);
                let exponential = |token| {
                    let each = query.iter().enumerate();
                    let score: f64 = each.map(|(c, &q)| f64::from(q) * input(token, c)).sum();
                    (score / (self.head_size as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = tokens.clone().map(exponential).collect();
                let total: f64 = weights.iter().sum();
                averages.extend((0..dim).map(|column| {
                    let each = tokens.clone().zip(&weights);
                    each.map(|(token, weight)| weight * input(token, column)).sum::<f64>() / total
                }));
            }
            averages
        }

        fn average(&self, isa: SelectedIsa, lengths: &[usize], first: usize) -> Vec<f32> {
            let (dim, sequences) = (self.dim(), lengths.iter().copied().collect::<Sequences>());
            let before: usize = self.lengths[..first].iter().sum();
            let (inputs, queries) = (self.inputs(), self.queries());
            let inputs = &inputs[before * dim..];
            let attention = AbsorbedAttention {
                heads: self.heads,
                head_size: self.head_size,
                sequences: &sequences,
                inputs: Rows { values: inputs, stride: dim, count: sequences.tokens() },
                queries: &queries[first * self.heads * dim..],
            };
            let mut averages = vec![f32::NAN; lengths.len() * self.heads * dim];
            Threads::CALLER.run(|leader| {
                let executor = &mut Executor { isa, leader };
                attention.average(executor, &mut [FloatAttention::default()], &mut averages);
            });
            averages
        }
    }

    #[test]
    fn averages_of_every_size_match_float64() {
        let heads = [(1, 1), (2, 3), (4, 5), (3, 16), (2, 17), (1, 24), (2, 32), (2, 64)];
        for (heads, head_size) in sizes(heads, [(2, 3), (1, 16), (1, 17), (1, 32)]) {
            for lengths in [vec![1], vec![7, 1, 16], vec![33, 2, 3, 5, 4]] {
                let case = Case { heads, head_size, lengths: lengths.clone() };
                let expected = case.expected();
                on_every_isa(|_, isa| {
                    assert_all_close(&case.average(isa, &lengths, 0), &expected, 1e-5);
                });
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_other_sequences() {
        let case = Case { heads: 2, head_size: 17, lengths: vec![7, 1, 6, 33] };
        on_every_isa(|_, isa| {
            let together = case.average(isa, &case.lengths, 0);
            let each = (0..case.lengths.len()).map(|i| case.average(isa, &[case.lengths[i]], i));
            assert_eq!(together, each.collect::<Vec<_>>().concat());
        });
    }
}
