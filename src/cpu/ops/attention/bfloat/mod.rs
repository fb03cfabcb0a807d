//! Attention with products in bf16.

mod pack;
#[cfg(test)]
mod tests;

use half::bf16;

use self::pack::{narrow_rows, pack_keys, pack_values};
use super::float::{QUERY_BLOCK, score_stride};
use super::{Arithmetic, Attention, Head};
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::simd::bfloat::narrow_row;
use crate::cpu::simd::{Isa, TileShape};

/// Values in a cache line, which is left between rows of probabilities.
const LINE: usize = 32;

/// Attention in the order of [`FloatAttention`](super::FloatAttention). Queries, keys, values and the exponentials of
/// the softmax are rounded to bf16 where they are multiplied. Scores and sums, that of the exponentials included, are
/// `f32`.
#[derive(Default)]
pub(crate) struct Bf16Attention {
    /// A block of queries.
    queries: AlignedVec<bf16>,
    keys: AlignedVec<bf16>,
    values: AlignedVec<bf16>,
    scores: AlignedVec,
    /// The rows of `scores` after the softmax, before the division.
    probabilities: AlignedVec<bf16>,
    /// Weighted sums of one panel of values.
    sums: AlignedVec,
}

impl Arithmetic for Bf16Attention {
    fn resize(&mut self, shape: TileShape, tokens: usize, head_size: usize) {
        let TileShape { panel, bf16_group: group, .. } = shape;
        let depth = head_size.next_multiple_of(group);
        self.queries.resize(QUERY_BLOCK * depth);
        self.keys.resize(tokens.next_multiple_of(panel) * depth);
        self.values.resize(tokens.next_multiple_of(group) * head_size.next_multiple_of(panel));
        self.scores.resize(QUERY_BLOCK * score_stride(panel, tokens));
        self.probabilities.resize(QUERY_BLOCK * (tokens.next_multiple_of(group) + LINE));
        self.sums.resize(QUERY_BLOCK * panel);
    }

    #[inline(always)]
    fn attend<I: Isa>(&mut self, isa: I, mut head: Head<'_>) {
        let Attention { head_size, query, key, value, .. } = *head.attention;
        let tokens = head.tokens.clone();
        let query_rows = head.context.rows();
        let columns = head.context.columns();
        let len = tokens.len();
        self.resize(TileShape::of::<I>(), len, head_size);
        let Self { queries, keys, values, scores, probabilities, sums } = self;
        pack_keys::<I>((keys, queries), key, tokens.clone(), columns.clone());
        pack_values::<I>(values, value, tokens, columns.clone());
        // Inputs of both products, in whole groups.
        let depth = head_size.next_multiple_of(I::BF16_GROUP);
        let padded = len.next_multiple_of(I::BF16_GROUP);
        let (score_stride, stride) = (score_stride(I::PANEL, len), padded + LINE);
        let scale = 1.0 / (head_size as f32).sqrt();
        let mut inverse_sums = [0.0; QUERY_BLOCK];

        for first_row in query_rows.clone().step_by(QUERY_BLOCK) {
            let rows = first_row..query_rows.end.min(first_row + QUERY_BLOCK);
            narrow_rows(queries, depth, query, rows.clone(), columns.clone());
            for (panel, keys) in keys.chunks_exact(I::PANEL * depth).enumerate() {
                let scores = (&mut scores[panel * I::PANEL..], score_stride);
                let queries: (&[bf16], usize) = (queries, depth);
                multiply_panel(isa, queries, (rows.len(), depth), keys, scores, |_| ());
            }
            let each = scores.chunks_exact_mut(score_stride).take(rows.len());
            let each = each.zip(probabilities.chunks_exact_mut(stride)).zip(&mut inverse_sums);
            for ((row, probabilities), inverse_sum) in each {
                *inverse_sum = exponentials(isa, row, len, scale);
                narrow_row(&row[..len], probabilities);
                probabilities[len..padded].fill(bf16::ZERO);
            }
            for (panel, values) in values.chunks_exact(I::PANEL * padded).enumerate() {
                let weights: (&[bf16], usize) = (probabilities, stride);
                let to = (&mut sums[..], I::PANEL);
                multiply_panel(isa, weights, (rows.len(), padded), values, to, |_| ());
                let to = (rows.clone(), panel * I::PANEL);
                head.write_averages::<I>(to, sums, &inverse_sums);
            }
        }
    }
}
