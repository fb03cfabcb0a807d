//! Back through multi-head attention where every token asks: one task per sequence and head, as on the way
//! there.
//!
//! Attention's weights are not kept: a task makes them again, a block of queries at a time.

use std::ops::Range;

use crate::attribution::{AttentionRule, Shares};
use crate::cpu::gemm::block::multiply;
use crate::cpu::gemm::weight::Rows;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::{
    Attention, QUERY_BLOCK, pack_keys, pack_values, score_stride, transpose,
};
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// What a thread needs for one task.
#[derive(Default)]
pub(super) struct AttentionBackwardScratch {
    /// Keys, and values, as panels of tokens: what scores are made with.
    keys: AlignedVec,
    values: AlignedVec,
    /// Keys as panels of columns.
    key_columns: AlignedVec,
    /// A block's queries, or gradients of its context, as panels of columns.
    block_columns: AlignedVec,
    /// A block's weights, and later the gradients of its scores.
    weights: AlignedVec,
    /// The gradients of a block's weights.
    weight_gradients: AlignedVec,
    /// A row for each key: a block's weights or their gradients.
    transposed: AlignedVec,
    /// Products of one panel.
    sums: AlignedVec,
}

impl AttentionBackwardScratch {
    /// Makes room for a head of a sequence of so many tokens.
    pub fn resize<I: Isa>(&mut self, tokens: usize, head_size: usize) {
        let columns = head_size.next_multiple_of(I::PANEL);
        let scores = QUERY_BLOCK * score_stride::<I>(tokens);
        self.keys.resize(tokens.next_multiple_of(I::PANEL) * head_size);
        self.values.resize(tokens.next_multiple_of(I::PANEL) * head_size);
        self.key_columns.resize(tokens * columns);
        self.block_columns.resize(QUERY_BLOCK * columns);
        self.weights.resize(scores);
        self.weight_gradients.resize(scores);
        self.transposed.resize(tokens * QUERY_BLOCK);
        self.sums.resize(tokens.max(QUERY_BLOCK) * I::PANEL);
    }

    /// Room for a panel of columns of every token, and for its products.
    pub fn columns_and_sums(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.key_columns, &mut self.sums)
    }

    /// Room for a row of scores over so many tokens.
    pub fn row<I: Isa>(&mut self, tokens: usize) -> &mut [f32] {
        &mut self.weights[..score_stride::<I>(tokens)]
    }
}

/// Attention of one layer over a batch, and the gradient of what it made.
pub(super) struct AttentionBackward<'a> {
    pub attention: Attention<'a>,
    /// One that does not hold the weights.
    pub rule: AttentionRule,
    /// A row for each token.
    pub context_gradient: &'a [f32],
    /// Of queries, keys and values, one after the other.
    pub bias: &'a [f32],
}

/// Where the gradients go, rows of `heads · head_size` values, one for each token.
pub(super) struct Gradients<'a> {
    pub query: &'a mut [f32],
    pub key: &'a mut [f32],
    pub value: &'a mut [f32],
}

impl AttentionBackward<'_> {
    /// `shares` has one for each sequence and head.
    pub fn run<I: Isa>(
        self,
        isa: I,
        team: &Team,
        scratch: &mut [AttentionBackwardScratch],
        gradients: Gradients<'_>,
        shares: &mut [Shares],
    ) {
        let Attention { sequences, heads, head_size, .. } = self.attention;
        let longest = sequences.iter().map(Range::len).max().unwrap_or(0);
        scratch.iter_mut().for_each(|scratch| scratch.resize::<I>(longest, head_size));
        let (scratch, shares) = (Parts::new(scratch), Parts::new(shares));
        let [query, key, value] = [gradients.query, gradients.key, gradients.value].map(Parts::new);
        team.for_each(sequences.len() * heads, |worker, task| {
            // SAFETY: a worker has one task at a time, and each task its own share.
            let ([scratch], [share]) =
                (unsafe { (scratch.part(worker..worker + 1), shares.part(task..task + 1)) })
            else {
                unreachable!()
            };
            let head = task % heads;
            *share += isa.run(Head {
                step: &self,
                sequence: task / heads,
                columns: head * head_size..(head + 1) * head_size,
                scratch,
                query: &query,
                key: &key,
                value: &value,
            });
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a AttentionBackward<'a>,
    sequence: usize,
    /// Of this head.
    columns: Range<usize>,
    scratch: &'a mut AttentionBackwardScratch,
    query: &'a Parts<'a>,
    key: &'a Parts<'a>,
    value: &'a Parts<'a>,
}

impl Kernel for Head<'_> {
    type Output = Shares;

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) -> Shares {
        let &AttentionBackward { ref attention, rule, context_gradient, .. } = self.step;
        let &Attention { head_size, sequences, query, key, value, .. } = attention;
        let tokens = sequences[self.sequence].clone();
        let context_gradient =
            Rows { values: context_gradient, stride: self.dim(), count: query.count };
        let factor = if rule == AttentionRule::Share { 0.5 } else { 1.0 };
        let scale = 1.0 / (head_size as f32).sqrt();

        let scratch = &mut *self.scratch;
        scratch.resize::<I>(tokens.len(), head_size);
        pack_keys(isa, &mut scratch.keys, key, tokens.clone(), self.columns.clone());
        pack_keys(isa, &mut scratch.values, value, tokens.clone(), self.columns.clone());
        pack_values::<I>(&mut scratch.key_columns, key, tokens.clone(), self.columns.clone());
        self.clear(self.value);
        self.clear(self.key);
        let (mut weights, mut scores) = (0.0, 0.0);
        for first in tokens.clone().step_by(QUERY_BLOCK) {
            let rows = first..tokens.end.min(first + QUERY_BLOCK);
            let AttentionBackwardScratch { keys, weights: to, .. } = &mut *self.scratch;
            block_weights(
                isa,
                attention,
                keys,
                rows.clone(),
                self.columns.clone(),
                tokens.len(),
                to,
            );
            self.add_to_tokens(isa, rows.clone(), context_gradient, factor, self.value);
            weights += self.score_gradients(isa, rows.clone(), context_gradient, factor);
            scores += self.query_gradients(isa, rows.clone(), factor * scale);
            self.add_to_tokens(isa, rows, query, factor * scale, self.key);
        }
        scores /= f64::from(factor);

        let mut shares = Shares { softmax: weights - scores, ..Shares::default() };
        for (part, gradients) in [self.query, self.key, self.value].into_iter().enumerate() {
            shares.bias += self.bias_share(isa, part, gradients, &tokens);
        }
        // A product gives its whole relevance to each factor; shared out, it comes out even.
        if rule == AttentionRule::Gradient {
            shares.attention = -weights - scores;
        }
        shares
    }
}

/// Makes the weights that a block of queries has for the keys, which are packed, in rows
/// [`score_stride`] apart.
#[inline(always)]
pub(super) fn block_weights<I: Isa>(
    isa: I,
    attention: &Attention<'_>,
    keys: &[f32],
    rows: Range<usize>,
    columns: Range<usize>,
    len: usize,
    to: &mut [f32],
) {
    let &Attention { head_size, query, .. } = attention;
    let stride = score_stride::<I>(len);
    let queries = (&query.values[rows.start * query.stride + columns.start..], query.stride);
    for (panel, keys) in keys.chunks_exact(I::PANEL * head_size).enumerate() {
        let scores = (&mut to[panel * I::PANEL..], stride);
        multiply(isa, queries, (rows.len(), head_size), keys, scores, |_| ());
    }
    let scale = 1.0 / (head_size as f32).sqrt();
    for row in to.chunks_exact_mut(stride).take(rows.len()) {
        let share = isa.splat(exponentials(isa, row, len, scale));
        for at in starts(isa, len) {
            isa.store(isa.mul(isa.load(&row[at..]), share), &mut row[at..]);
        }
    }
}

impl Head<'_> {
    /// Values of a row.
    fn dim(&self) -> usize {
        self.step.attention.heads * self.step.attention.head_size
    }

    /// This head's columns of a row of its sequence.
    ///
    /// # Safety
    /// The caller holds no other part that overlaps it. Other tasks have other sequences or heads.
    #[expect(clippy::mut_from_ref, reason = "as for the parts themselves")]
    unsafe fn part<'b>(&self, parts: &'b Parts<'_>, row: usize) -> &'b mut [f32] {
        let start = row * self.dim();
        // SAFETY: the caller's.
        unsafe { parts.part(start + self.columns.start..start + self.columns.end) }
    }

    fn tokens(&self) -> Range<usize> {
        self.step.attention.sequences[self.sequence].clone()
    }

    /// Zeroes every token's gradient, for blocks to add to.
    fn clear(&self, parts: &Parts<'_>) {
        for token in self.tokens() {
            // SAFETY: one part at a time.
            unsafe { self.part(parts, token) }.fill(0.0);
        }
    }

    /// Makes the gradients of a block's scores of those of its context, in place of the weights. Returns
    /// the sum of the weights times their gradients, of which there is `factor`.
    #[inline(always)]
    fn score_gradients<I: Isa>(
        &mut self,
        isa: I,
        rows: Range<usize>,
        context_gradient: Rows<'_>,
        factor: f32,
    ) -> f64 {
        let head_size = self.step.attention.head_size;
        let len = self.tokens().len();
        let stride = score_stride::<I>(len);
        let AttentionBackwardScratch { values, weights, weight_gradients, .. } = &mut *self.scratch;
        let Rows { values: gradients, stride: gradient_stride, .. } = context_gradient;
        let gradients = &gradients[rows.start * gradient_stride + self.columns.start..];
        for (panel, values) in values.chunks_exact(I::PANEL * head_size).enumerate() {
            let to = (&mut weight_gradients[panel * I::PANEL..], stride);
            let input = (gradients, gradient_stride);
            multiply(isa, input, (rows.len(), head_size), values, to, |_| ());
        }
        let mut total = 0.0;
        let each = weights.chunks_exact_mut(stride).zip(weight_gradients.chunks_exact(stride));
        for (weights, gradients) in each.take(rows.len()) {
            let (weights, gradients) = (&mut weights[..len], &gradients[..len]);
            let sum = factor * dot(isa, weights, gradients);
            total += f64::from(sum);
            let [sum, factor] = [sum, factor].map(|value| isa.splat(value));
            for at in starts(isa, len) {
                let excess = isa.sub(isa.mul(load_at(isa, gradients, at), factor), sum);
                store_at(isa, isa.mul(load_at(isa, weights, at), excess), weights, at);
            }
        }
        total
    }

    /// Makes the gradients of a block's queries of those of its scores. Returns the sum of the queries
    /// times their gradients.
    #[inline(always)]
    fn query_gradients<I: Isa>(&mut self, isa: I, rows: Range<usize>, factor: f32) -> f64 {
        let query = self.step.attention.query;
        let len = self.tokens().len();
        let stride = score_stride::<I>(len);
        for (panel, first) in (0..self.columns.len()).step_by(I::PANEL).enumerate() {
            let AttentionBackwardScratch { key_columns, weights, sums, .. } = &mut *self.scratch;
            let keys = &key_columns[panel * I::PANEL * len..(panel + 1) * I::PANEL * len];
            let scores: (&[f32], usize) = (weights, stride);
            multiply(isa, scores, (rows.len(), len), keys, (&mut *sums, I::PANEL), |_| ());
            for (row, sums) in rows.clone().zip(self.scratch.sums.chunks_exact(I::PANEL)) {
                // SAFETY: one part at a time.
                let to = unsafe { self.part(self.query, row) };
                for (to, sum) in to[first..].iter_mut().zip(sums) {
                    *to = sum * factor;
                }
            }
        }
        // A loop, since closures of iterators do not get the instruction set.
        let mut total = 0.0;
        for row in rows {
            let query = &query.values[row * query.stride + self.columns.start..];
            // SAFETY: one part at a time.
            let gradient = unsafe { self.part(self.query, row) };
            total += f64::from(dot(isa, gradient, &query[..self.columns.len()]));
        }
        total
    }

    /// Adds to each token's columns those of a block of rows, each times `factor` and what the block's
    /// weights, or gradients of scores, have for the token.
    #[inline(always)]
    fn add_to_tokens<I: Isa>(
        &mut self,
        isa: I,
        rows: Range<usize>,
        values: Rows<'_>,
        factor: f32,
        to: &Parts<'_>,
    ) {
        let tokens = self.tokens();
        let len = tokens.len();
        let AttentionBackwardScratch { block_columns, weights, transposed, .. } =
            &mut *self.scratch;
        let size = I::PANEL * rows.len();
        pack_values::<I>(block_columns, values, rows.clone(), self.columns.clone());
        let weights = (&weights[..], score_stride::<I>(len));
        transpose(isa, weights, (rows.len(), len), (transposed, QUERY_BLOCK));
        for (panel, first) in (0..self.columns.len()).step_by(I::PANEL).enumerate() {
            let AttentionBackwardScratch { block_columns, transposed, sums, .. } =
                &mut *self.scratch;
            let columns = &block_columns[panel * size..(panel + 1) * size];
            let weights: (&[f32], usize) = (transposed, QUERY_BLOCK);
            multiply(isa, weights, (len, rows.len()), columns, (&mut *sums, I::PANEL), |_| ());
            for (token, sums) in tokens.clone().zip(self.scratch.sums.chunks_exact(I::PANEL)) {
                // SAFETY: one part at a time.
                let to = unsafe { self.part(to, token) };
                for (to, sum) in to[first..].iter_mut().zip(sums) {
                    *to += sum * factor;
                }
            }
        }
    }

    /// The sum of the gradients of queries (0), keys (1) or values (2) times their bias.
    #[inline(always)]
    fn bias_share<I: Isa>(
        &self,
        isa: I,
        which: usize,
        gradients: &Parts<'_>,
        rows: &Range<usize>,
    ) -> f64 {
        let bias = &self.step.bias[which * self.dim()..][self.columns.clone()];
        let mut total = 0.0;
        for row in rows.clone() {
            // SAFETY: one part at a time.
            let gradient = unsafe { self.part(gradients, row) };
            total += f64::from(dot(isa, gradient, bias));
        }
        total
    }
}
