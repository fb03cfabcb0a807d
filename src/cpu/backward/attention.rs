//! Backward pass of multi-head attention where every token attends: one task per sequence and head, as in the forward
//! pass.
//!
//! Attention probabilities are not saved: a task recomputes them, a block of queries at a time.

use std::ops::Range;

use crate::attribution::{AttentionRule, Shares};
use crate::cpu::executor::Executor;
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::{
    Attention, QUERY_BLOCK, pack_keys, pack_values, score_stride, transpose,
};
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::parallel::tiles::Tile;
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Memory of one thread for one task.
#[derive(Default)]
pub(super) struct AttentionBackwardScratch {
    /// Keys as panels of tokens, for the scores.
    keys: AlignedVec,
    /// Values as panels of tokens.
    values: AlignedVec,
    /// Keys as panels of columns.
    key_columns: AlignedVec,
    /// A block's queries, or gradients of its context, as panels of columns.
    block_columns: AlignedVec,
    /// A block's probabilities, and later the gradients of its scores.
    probabilities: AlignedVec,
    /// Gradients of a block's probabilities.
    probability_gradients: AlignedVec,
    /// A row for each key: a block's probabilities or their gradients.
    transposed: AlignedVec,
    /// Products of one panel.
    sums: AlignedVec,
}

impl AttentionBackwardScratch {
    /// Makes room for a head of a sequence of `tokens` tokens, and panels of `panel` columns.
    pub fn resize(&mut self, panel: usize, tokens: usize, head_size: usize) {
        let columns = head_size.next_multiple_of(panel);
        let scores = QUERY_BLOCK * score_stride(panel, tokens);
        self.keys.resize(tokens.next_multiple_of(panel) * head_size);
        self.values.resize(tokens.next_multiple_of(panel) * head_size);
        self.key_columns.resize(tokens * columns);
        self.block_columns.resize(QUERY_BLOCK * columns);
        self.probabilities.resize(scores);
        self.probability_gradients.resize(scores);
        self.transposed.resize(tokens * QUERY_BLOCK);
        self.sums.resize(tokens.max(QUERY_BLOCK) * panel);
    }

    /// Returns room for a panel of columns of every token, and for its products.
    pub fn columns_and_sums(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.key_columns, &mut self.sums)
    }

    /// Returns room for two rows over `tokens` tokens: probabilities and scores.
    pub fn rows(&mut self, panel: usize, tokens: usize) -> (&mut [f32], &mut [f32]) {
        let stride = score_stride(panel, tokens);
        (&mut self.probabilities[..stride], &mut self.probability_gradients[..stride])
    }
}

/// Attention of one layer over a batch, and the gradient of its output.
pub(super) struct AttentionBackward<'a> {
    pub attention: Attention<'a>,
    /// A rule under which probabilities have a gradient.
    pub rule: AttentionRule,
    /// A row for each token.
    pub context_gradient: &'a [f32],
    /// Biases of queries, keys and values, one after the other.
    pub bias: &'a [f32],
}

/// Gradients of queries, keys and values: rows of `heads · head_size` values, one for each token.
pub(super) struct Gradients<'a> {
    pub query: &'a mut [f32],
    pub key: &'a mut [f32],
    pub value: &'a mut [f32],
}

impl<'a> AttentionBackward<'a> {
    /// Writes the gradients. `shares` has one for each sequence and head.
    pub fn backpropagate(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [AttentionBackwardScratch],
        gradients: Gradients<'a>,
        shares: &mut [Shares],
    ) {
        let Attention { sequences, head_size, .. } = self.attention;
        let (isa, panel) = (executor.isa, executor.isa.shape().panel);
        let longest = sequences.longest();
        scratch.iter_mut().for_each(|scratch| scratch.resize(panel, longest, head_size));
        let Gradients { query, key, value } = gradients;
        let [query, key, value] =
            [query, key, value].map(|values| self.attention.query_tiles(values));
        let parts = (query, key, value, Chunks::new(shares, 1));
        executor.leader.for_each_with(scratch, parts, |scratch, _, parts| {
            let (query, key, value, share) = parts;
            share[0] += isa.dispatch(Head { step: self, scratch, query, key, value });
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a AttentionBackward<'a>,
    scratch: &'a mut AttentionBackwardScratch,
    /// Gradients of the queries.
    query: Tile<'a>,
    key: Tile<'a>,
    value: Tile<'a>,
}

impl Kernel for Head<'_> {
    type Output = Shares;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Shares {
        let Self { step, scratch, mut query, mut key, mut value } = self;
        let &AttentionBackward { ref attention, rule, context_gradient, bias } = step;
        let head_size = attention.head_size;
        let (tokens, columns) = (query.rows(), query.columns());
        let context_gradient = rows(context_gradient, attention.heads * head_size);
        let factor = if rule == AttentionRule::Share { 0.5 } else { 1.0 };
        let scale = 1.0 / (head_size as f32).sqrt();

        let panel = I::PANEL;
        scratch.resize(panel, tokens.len(), head_size);
        pack_keys(isa, &mut scratch.keys, attention.key, tokens.clone(), columns.clone());
        pack_keys(isa, &mut scratch.values, attention.value, tokens.clone(), columns.clone());
        pack_values::<I>(&mut scratch.key_columns, attention.key, tokens.clone(), columns.clone());
        clear(&mut value);
        clear(&mut key);
        let (mut weights, mut scores) = (0.0, 0.0);
        let mut block = Block { attention, scratch, tokens: tokens.clone(), columns };
        for first in tokens.clone().step_by(QUERY_BLOCK) {
            let rows = first..tokens.end.min(first + QUERY_BLOCK);
            block.compute_probabilities(isa, rows.clone());
            block.add_to_tokens(isa, rows.clone(), (context_gradient, factor), &mut value);
            weights += block.score_gradients(isa, rows.clone(), context_gradient, factor);
            scores += block.query_gradients(isa, rows.clone(), factor * scale, &mut query);
            block.add_to_tokens(isa, rows, (attention.query, factor * scale), &mut key);
        }
        scores /= f64::from(factor);

        let mut shares = Shares { softmax: weights - scores, ..Shares::default() };
        let dim = attention.heads * head_size;
        for (part, gradients) in [query, key, value].iter_mut().enumerate() {
            shares.bias += bias_share(isa, gradients, &bias[part * dim..(part + 1) * dim]);
        }
        // The gradient passes a product's whole relevance to each factor; sharing conserves it.
        if rule == AttentionRule::Gradient {
            shares.attention = -weights - scores;
        }
        shares
    }
}

/// Zeroes every token's gradient, to which blocks then add.
#[inline(always)]
fn clear(gradients: &mut Tile<'_>) {
    for token in gradients.rows() {
        gradients.row(token).fill(0.0);
    }
}

/// Returns the sum of gradients times their bias.
#[inline(always)]
fn bias_share<I: Isa>(isa: I, gradients: &mut Tile<'_>, bias: &[f32]) -> f64 {
    let bias = &bias[gradients.columns()];
    let mut total = 0.0;
    for row in gradients.rows() {
        total += f64::from(dot(isa, gradients.row(row), bias));
    }
    total
}

/// Computes the probabilities that a block of queries has for packed keys, in rows [`score_stride`] apart. The block is
/// given by its query rows, the head's columns and the number of keys.
#[inline(always)]
pub(super) fn block_probabilities<I: Isa>(
    isa: I,
    attention: &Attention<'_>,
    keys: &[f32],
    (rows, columns, len): (Range<usize>, Range<usize>, usize),
    to: &mut [f32],
) {
    let &Attention { head_size, query, .. } = attention;
    let stride = score_stride(I::PANEL, len);
    let queries = (&query.values[rows.start * query.stride + columns.start..], query.stride);
    for (panel, keys) in keys.chunks_exact(I::PANEL * head_size).enumerate() {
        let scores = (&mut to[panel * I::PANEL..], stride);
        multiply_panel(isa, queries, (rows.len(), head_size), keys, scores, |_| ());
    }
    let scale = 1.0 / (head_size as f32).sqrt();
    for row in to.chunks_exact_mut(stride).take(rows.len()) {
        let inverse_sum = isa.splat(exponentials(isa, row, len, scale));
        for at in starts(isa, len) {
            isa.store(isa.mul(isa.load(&row[at..]), inverse_sum), &mut row[at..]);
        }
    }
}

/// Memory and place of a head's blocks of queries.
struct Block<'a, 'b> {
    attention: &'a Attention<'b>,
    scratch: &'a mut AttentionBackwardScratch,
    tokens: Range<usize>,
    columns: Range<usize>,
}

impl Block<'_, '_> {
    #[inline(always)]
    fn compute_probabilities<I: Isa>(&mut self, isa: I, rows: Range<usize>) {
        let AttentionBackwardScratch { keys, probabilities, .. } = &mut *self.scratch;
        let place = (rows, self.columns.clone(), self.tokens.len());
        block_probabilities(isa, self.attention, keys, place, probabilities);
    }

    /// Replaces the block's probabilities with the gradients of its scores. Returns the sum of the probabilities times
    /// their gradients, which are multiplied by `factor`.
    #[inline(always)]
    fn score_gradients<I: Isa>(
        &mut self,
        isa: I,
        rows: Range<usize>,
        context_gradient: Rows<'_>,
        factor: f32,
    ) -> f64 {
        let head_size = self.attention.head_size;
        let len = self.tokens.len();
        let stride = score_stride(I::PANEL, len);
        let AttentionBackwardScratch { values, probabilities, probability_gradients, .. } =
            &mut *self.scratch;
        let Rows { values: gradients, stride: gradient_stride, .. } = context_gradient;
        let gradients = &gradients[rows.start * gradient_stride + self.columns.start..];
        for (panel, values) in values.chunks_exact(I::PANEL * head_size).enumerate() {
            let to = (&mut probability_gradients[panel * I::PANEL..], stride);
            let input = (gradients, gradient_stride);
            multiply_panel(isa, input, (rows.len(), head_size), values, to, |_| ());
        }
        let mut total = 0.0;
        let each =
            probabilities.chunks_exact_mut(stride).zip(probability_gradients.chunks_exact(stride));
        for (probabilities, gradients) in each.take(rows.len()) {
            let (probabilities, gradients) = (&mut probabilities[..len], &gradients[..len]);
            let sum = factor * dot(isa, probabilities, gradients);
            total += f64::from(sum);
            let [sum, factor] = [sum, factor].map(|value| isa.splat(value));
            for at in starts(isa, len) {
                let excess = isa.sub(isa.mul(load_at(isa, gradients, at), factor), sum);
                let gradient = isa.mul(load_at(isa, probabilities, at), excess);
                store_at(isa, gradient, probabilities, at);
            }
        }
        total
    }

    /// Computes the gradients of the block's queries from those of its scores. Returns the sum of the queries times
    /// their gradients.
    #[inline(always)]
    fn query_gradients<I: Isa>(
        &mut self,
        isa: I,
        rows: Range<usize>,
        factor: f32,
        to: &mut Tile<'_>,
    ) -> f64 {
        let query = self.attention.query;
        let len = self.tokens.len();
        let stride = score_stride(I::PANEL, len);
        let AttentionBackwardScratch { key_columns, probabilities, sums, .. } = &mut *self.scratch;
        for (panel, first) in (0..self.columns.len()).step_by(I::PANEL).enumerate() {
            let keys = &key_columns[panel * I::PANEL * len..(panel + 1) * I::PANEL * len];
            let scores: (&[f32], usize) = (probabilities, stride);
            multiply_panel(isa, scores, (rows.len(), len), keys, (&mut *sums, I::PANEL), |_| ());
            for (row, sums) in rows.clone().zip(sums.chunks_exact(I::PANEL)) {
                for (to, sum) in to.row(row)[first..].iter_mut().zip(sums) {
                    *to = sum * factor;
                }
            }
        }
        // This is a loop because the closures of iterators are not compiled with the set's instructions.
        let mut total = 0.0;
        for row in rows {
            let query = &query.values[row * query.stride + self.columns.start..];
            total += f64::from(dot(isa, to.row(row), &query[..self.columns.len()]));
        }
        total
    }

    /// Adds to each token's columns those of the block's rows of `values`, each times `factor` and the block's
    /// probability, or gradient of a score, for the token.
    #[inline(always)]
    fn add_to_tokens<I: Isa>(
        &mut self,
        isa: I,
        rows: Range<usize>,
        (values, factor): (Rows<'_>, f32),
        to: &mut Tile<'_>,
    ) {
        let len = self.tokens.len();
        let AttentionBackwardScratch { block_columns, probabilities, transposed, sums, .. } =
            &mut *self.scratch;
        let size = I::PANEL * rows.len();
        pack_values::<I>(block_columns, values, rows.clone(), self.columns.clone());
        let probabilities = (&probabilities[..], score_stride(I::PANEL, len));
        transpose(isa, probabilities, (rows.len(), len), (transposed, QUERY_BLOCK));
        for (panel, first) in (0..self.columns.len()).step_by(I::PANEL).enumerate() {
            let columns = &block_columns[panel * size..(panel + 1) * size];
            let weights: (&[f32], usize) = (transposed, QUERY_BLOCK);
            let products = (&mut sums[..], I::PANEL);
            multiply_panel(isa, weights, (len, rows.len()), columns, products, |_| ());
            for (token, sums) in self.tokens.clone().zip(sums.chunks_exact(I::PANEL)) {
                for (to, sum) in to.row(token)[first..].iter_mut().zip(sums) {
                    *to += sum * factor;
                }
            }
        }
    }
}
