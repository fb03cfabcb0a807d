//! Attention in `f32`.

use super::pack::{pack_keys, pack_values, transpose};
use super::{Arithmetic, Attention, Head};
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::simd::{Isa, TileShape, prefetch};

/// Queries of a block: their scores over 512 keys take 96 KiB.
pub(crate) const QUERY_BLOCK: usize = 48;

/// Values of a cache line.
const LINE: usize = 16;

/// Attention in `f32`: packs a head's keys and values as panels, then walks over blocks of queries: scores, softmax and
/// the weighted sum of the values, with the scores in L2.
#[derive(Default)]
pub(crate) struct FloatAttention {
    keys: AlignedVec,
    values: AlignedVec,
    scores: AlignedVec,
    /// Weighted sums of one panel of values.
    sums: AlignedVec,
}

/// Returns the distance of the rows of scores over `tokens` tokens. They reach to the end of the last panel of keys;
/// the cache line beyond keeps the rows of a tile from competing for the same sets of L1.
pub(crate) fn score_stride(panel: usize, tokens: usize) -> usize {
    tokens.next_multiple_of(panel) + LINE
}

impl FloatAttention {
    /// Makes room for one row of scores over `tokens` tokens.
    pub fn resize_row(&mut self, panel: usize, tokens: usize) {
        self.scores.resize(score_stride(panel, tokens));
    }

    /// Returns room for one row of scores over `tokens` tokens.
    pub fn row(&mut self, panel: usize, tokens: usize) -> &mut [f32] {
        &mut self.scores[..score_stride(panel, tokens)]
    }
}

impl Arithmetic for FloatAttention {
    fn resize(&mut self, TileShape { panel, .. }: TileShape, tokens: usize, head_size: usize) {
        self.keys.resize(tokens.next_multiple_of(panel) * head_size);
        self.values.resize(tokens * head_size.next_multiple_of(panel));
        self.scores.resize(QUERY_BLOCK * score_stride(panel, tokens));
        self.sums.resize(QUERY_BLOCK * panel);
    }

    #[inline(always)]
    fn attend<I: Isa>(&mut self, isa: I, mut head: Head<'_>) {
        let Attention { head_size, query, key, value, .. } = *head.attention;
        let tokens = head.tokens.clone();
        let len = tokens.len();
        let query_rows = head.context.rows();
        let columns = head.context.columns();
        self.resize(TileShape::of::<I>(), len, head_size);
        let Self { keys, values, scores, sums } = self;
        pack_keys(isa, keys, key, tokens.clone(), columns.clone());
        pack_values::<I>(values, value, tokens, columns.clone());
        let score_stride = score_stride(I::PANEL, len);
        let scale = 1.0 / (head_size as f32).sqrt();
        let mut inverse_sums = [0.0; QUERY_BLOCK];

        for first_row in query_rows.clone().step_by(QUERY_BLOCK) {
            let rows = QUERY_BLOCK.min(query_rows.end - first_row);
            let queries = (&query.values[first_row * query.stride + columns.start..], query.stride);
            for (panel, keys) in keys.chunks_exact(I::PANEL * head_size).enumerate() {
                if let Some(saved) = &head.saved {
                    // Prefetches the memory for the panel's probabilities in the meantime.
                    let columns = first_row - query_rows.start;
                    for key in panel * I::PANEL..len.min((panel + 1) * I::PANEL) {
                        let to = &saved.exponentials[key * score_stride + columns..][..rows];
                        prefetch(to.as_ptr().cast(), size_of_val(to));
                    }
                }
                let scores = (&mut scores[panel * I::PANEL..], score_stride);
                multiply_panel(isa, queries, (rows, head_size), keys, scores, |_| ());
            }
            let each = scores.chunks_exact_mut(score_stride).take(rows).zip(&mut inverse_sums);
            for (row, inverse_sum) in each {
                *inverse_sum = exponentials(isa, row, len, scale);
            }
            if let Some(saved) = &mut head.saved {
                let first = first_row - query_rows.start;
                saved.inverse_sums[first..first + rows].copy_from_slice(&inverse_sums[..rows]);
                let to = (&mut saved.exponentials[first..], score_stride);
                transpose(isa, (scores, score_stride), (rows, len), to);
            }
            for (panel, values) in values.chunks_exact(I::PANEL * len).enumerate() {
                let weights: (&[f32], usize) = (scores, score_stride);
                multiply_panel(isa, weights, (rows, len), values, (&mut *sums, I::PANEL), |_| ());
                let to = (first_row..first_row + rows, panel * I::PANEL);
                head.write_averages::<I>(to, sums, &inverse_sums);
            }
        }
    }
}
