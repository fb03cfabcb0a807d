//! Attention in 8-bit integers.
//!
//! Each head of a sequence is quantized on its own: queries to 8 bits with a scale each, keys to 7 bits with a scale
//! each, values to 7 bits with a scale and a center for each column. A query's probabilities have 8 bits as well: the
//! largest becomes 255, and the weighted sum of the values is divided by the sum of the rounded probabilities. Both
//! products are exact. The rest is elementwise in a fixed order, so that the integers are the same on every set that
//! fuses multiplications and additions.
//!
//! Softmax ignores a term that all scores of a query share, so the mean of the keys is subtracted from each: a shared
//! bias would take up most of their range.

mod pack;
mod probabilities;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::pack::{Keys, Queries, Values};
use self::probabilities::{Scores, probabilities};
use super::float::{FloatAttention, QUERY_BLOCK, score_stride};
use super::{Arithmetic, Attention, Head};
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::simd::{Isa, TileShape};

/// Sequence lengths, in tokens, for which attention uses integers. Below 96, quantizing takes longer than the products
/// save (AVX2 without VNNI); the accuracy beyond 512 has not been measured.
const TOKENS: Range<usize> = 96..513;

/// Attention with 8-bit weights: in integers if every token attends and [`TOKENS`] contains the sequence's length, else
/// in `f32`. The choice depends only on the sequence, not on its batch.
#[derive(Default)]
pub(crate) struct Int8Attention {
    integer: IntegerAttention,
    float: FloatAttention,
}

impl Arithmetic for Int8Attention {
    fn resize(&mut self, shape: TileShape, tokens: usize, head_size: usize) {
        self.float.resize(shape, tokens, head_size);
        self.integer.resize(shape, tokens.min(TOKENS.end - 1), head_size);
    }

    #[inline(always)]
    fn attend<I: Isa>(&mut self, isa: I, head: Head<'_>) {
        let every_token = head.attention.queries == super::Queries::AllTokens;
        if every_token && TOKENS.contains(&head.tokens.len()) {
            self.integer.attend(isa, head);
        } else {
            self.float.attend(isa, head);
        }
    }
}

/// Attention in integers.
#[derive(Default)]
pub(crate) struct IntegerAttention {
    queries: Queries,
    keys: Keys,
    values: Values,
    /// Sums of the products of a block's queries and the keys.
    sums: AlignedVec<i32>,
    /// Scores of one query.
    scores: AlignedVec,
    /// Probabilities of a block.
    probabilities: AlignedVec<u8>,
    /// One over the sum of each query's probabilities.
    shares: AlignedVec,
    /// Weighted sums of one panel of values.
    weighted: AlignedVec<i32>,
}

/// Returns the distance of the rows of probabilities over `tokens` tokens: beyond the end of the last panel, the cache
/// line that keeps the rows of a tile from competing for the same sets of L1.
fn probability_stride(panel: usize, tokens: usize) -> usize {
    const LINE: usize = 64;
    tokens.next_multiple_of(panel) + LINE
}

impl Arithmetic for IntegerAttention {
    fn resize(&mut self, shape: TileShape, tokens: usize, head_size: usize) {
        let panel = shape.panel;
        self.queries.resize(shape, head_size);
        self.keys.resize(shape, tokens, head_size);
        self.values.resize(shape, tokens, head_size);
        self.sums.resize(QUERY_BLOCK * score_stride(panel, tokens));
        self.scores.resize(tokens.next_multiple_of(panel));
        self.probabilities.resize(QUERY_BLOCK * probability_stride(panel, tokens));
        self.shares.resize(QUERY_BLOCK);
        self.weighted.resize(QUERY_BLOCK * panel);
    }

    #[inline(always)]
    fn attend<I: Isa>(&mut self, isa: I, mut head: Head<'_>) {
        assert!(head.saved.is_none(), "attention in integers has no backward pass");
        let Attention { head_size, query, key, value, .. } = *head.attention;
        let (tokens, columns) = (head.tokens.clone(), head.context.columns());
        let len = tokens.len();
        self.resize(TileShape::of::<I>(), len, head_size);
        self.keys.pack(isa, key, tokens.clone(), columns.clone());
        self.values.pack(isa, value, tokens, columns.clone());
        let queries = head.context.rows();
        for first in queries.clone().step_by(QUERY_BLOCK) {
            let rows = first..queries.end.min(first + QUERY_BLOCK);
            self.queries.pack(isa, query, rows.clone(), columns.clone());
            self.score(isa, rows.len(), len);
            self.weigh(isa, rows, len, &mut head);
        }
    }
}

impl IntegerAttention {
    /// Computes the probabilities of a block of queries.
    #[inline(always)]
    fn score<I: Isa>(&mut self, isa: I, rows: usize, len: usize) {
        let Self { queries, keys, sums, scores, probabilities: bytes, shares, .. } = self;
        let stride = score_stride(I::PANEL, len);
        let depth = queries.depth();
        for (panel, keys) in keys.panels(I::PANEL * depth).enumerate() {
            let sums = (&mut sums[panel * I::PANEL..], stride);
            multiply_panel(isa, queries.rows(), (rows, depth), keys, sums, |_| ());
        }
        let bytes = bytes.chunks_exact_mut(probability_stride(I::PANEL, len));
        let each = sums.chunks_exact(stride).zip(bytes).zip(shares.iter_mut());
        for (row, ((sums, bytes), share)) in each.take(rows).enumerate() {
            let query = Scores { sums, len, factor: queries.factor(row) };
            *share = 1.0 / probabilities(isa, query, keys, scores, bytes);
        }
    }

    /// Writes the sums of the values, weighted by a block's probabilities, to the context.
    #[inline(always)]
    fn weigh<I: Isa>(&mut self, isa: I, rows: Range<usize>, len: usize, head: &mut Head<'_>) {
        let Self { values, probabilities, shares, weighted, .. } = self;
        let columns = head.context.columns();
        let depth = len.next_multiple_of(I::INT8_GROUP);
        for (panel, weights) in values.panels(I::PANEL * depth).enumerate() {
            let bytes: (&[u8], usize) = (probabilities, probability_stride(I::PANEL, len));
            let sums = (&mut weighted[..], I::PANEL);
            multiply_panel(isa, bytes, (rows.len(), depth), weights, sums, |_| ());
            let first = panel * I::PANEL;
            let part = columns.start + first..columns.end.min(columns.start + first + I::PANEL);
            let each = weighted.chunks_exact(I::PANEL).zip(shares.iter());
            for (row, (sums, &share)) in rows.clone().zip(each) {
                let context = head.context.part(row, part.clone());
                values.average(isa, sums, (first, share), context);
            }
        }
    }
}
