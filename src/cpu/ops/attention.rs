//! Multi-head attention over packed rows: one task per sequence and head.
//!
//! A task packs its keys and values as panels, then walks over blocks of queries: scores, softmax and the weighted sum
//! of the values, with the scores in L2. Sequences are computed apart, so there is no mask.

use std::ops::Range;

use crate::cpu::executor::Executor;
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::gemm::rows::Rows;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::probabilities::{HeadProbabilities, SavedProbabilities};
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::{Optional, Split};
use crate::cpu::parallel::tiles::{ColumnBlocks, RowBlocks, Tile, Tiles};
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::{Isa, Kernel, SQUARE, prefetch};

/// Queries of a block: their scores over 512 keys take 96 KiB.
pub(crate) const QUERY_BLOCK: usize = 48;

/// Values of a cache line.
const LINE: usize = 16;

/// Memory of one thread for one task.
#[derive(Default)]
pub(crate) struct AttentionScratch {
    keys: AlignedVec,
    values: AlignedVec,
    scores: AlignedVec,
    /// Weighted sums of one panel of values.
    sums: AlignedVec,
}

impl AttentionScratch {
    /// Makes room for a head of a sequence of `tokens` tokens.
    fn resize(&mut self, panel: usize, tokens: usize, head_size: usize) {
        self.keys.resize(tokens.next_multiple_of(panel) * head_size);
        self.values.resize(tokens * head_size.next_multiple_of(panel));
        self.scores.resize(QUERY_BLOCK * score_stride(panel, tokens));
        self.sums.resize(QUERY_BLOCK * panel);
    }
}

/// Returns the distance of the rows of scores over `tokens` tokens. They reach to the end of the last panel of keys;
/// the cache line beyond keeps the rows of a tile from meeting in the same sets of L1.
pub(crate) fn score_stride(panel: usize, tokens: usize) -> usize {
    tokens.next_multiple_of(panel) + LINE
}

/// Tokens that attend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queries {
    /// Every token: query row `t` belongs to token `t`.
    AllTokens,
    /// The first token of each sequence: query row `s` belongs to sequence `s`.
    FirstTokens,
}

/// Attention of one layer over a batch.
pub(crate) struct Attention<'a> {
    pub heads: usize,
    pub head_size: usize,
    pub sequences: &'a Sequences,
    pub queries: Queries,
    /// `heads · head_size` values a row.
    pub query: Rows<'a>,
    /// A row for each token.
    pub key: Rows<'a>,
    /// A row for each token.
    pub value: Rows<'a>,
}

impl<'a> Attention<'a> {
    /// Splits rows of `heads · head_size` values, one for each query, by task.
    pub fn query_tiles(&self, values: &'a mut [f32]) -> Tiles<'a> {
        let rows = match self.queries {
            Queries::AllTokens => RowBlocks::Sequences(self.sequences),
            Queries::FirstTokens => RowBlocks::Even { rows: self.sequences.len(), block: 1 },
        };
        let columns = ColumnBlocks::even(self.heads, self.head_size);
        Tiles::new((values, self.heads * self.head_size), rows, columns)
    }

    /// Computes into `context`, one row of `heads · head_size` values for each query. Where every token attends, the
    /// probabilities can be saved.
    pub fn attend(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [AttentionScratch],
        context: &'a mut [f32],
        saved: Option<&'a mut SavedProbabilities>,
    ) {
        let (isa, panel) = (executor.isa, executor.isa.shape().panel);
        // Every thread gets room for the longest sequence, so that no later call allocates.
        let longest = self.sequences.longest();
        scratch.iter_mut().for_each(|scratch| scratch.resize(panel, longest, self.head_size));
        let context = self.query_tiles(context);
        let saved = saved.map(|saved| saved.split(self.heads, self.sequences));
        let saved = Optional::new(saved, context.parts());
        executor.leader.for_each_with(scratch, (context, saved), |scratch, task, parts| {
            let (context, saved) = parts;
            let saved = saved.map(|(exponentials, inverse_sums)| HeadProbabilities {
                exponentials,
                inverse_sums,
            });
            isa.dispatch(Head { attention: self, task, scratch, context, saved });
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    attention: &'a Attention<'a>,
    task: usize,
    scratch: &'a mut AttentionScratch,
    context: Tile<'a>,
    saved: Option<HeadProbabilities<&'a mut [f32]>>,
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let Attention { heads, head_size, sequences, query, key, value, .. } = *self.attention;
        let tokens = sequences.tokens_of(self.task / heads);
        let len = tokens.len();
        let query_rows = self.context.rows();
        let columns = self.context.columns();
        self.scratch.resize(I::PANEL, len, head_size);
        let AttentionScratch { keys, values, scores, sums } = self.scratch;
        pack_keys(isa, keys, key, tokens.clone(), columns.clone());
        pack_values::<I>(values, value, tokens, columns.clone());
        let score_stride = score_stride(I::PANEL, len);
        let scale = 1.0 / (head_size as f32).sqrt();
        let mut inverse_sums = [0.0; QUERY_BLOCK];

        for first_row in query_rows.clone().step_by(QUERY_BLOCK) {
            let rows = QUERY_BLOCK.min(query_rows.end - first_row);
            let queries = (&query.values[first_row * query.stride + columns.start..], query.stride);
            for (panel, keys) in keys.chunks_exact(I::PANEL * head_size).enumerate() {
                if let Some(saved) = &self.saved {
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
            if let Some(saved) = &mut self.saved {
                let first = first_row - query_rows.start;
                saved.inverse_sums[first..first + rows].copy_from_slice(&inverse_sums[..rows]);
                let to = (&mut saved.exponentials[first..], score_stride);
                transpose(isa, (scores, score_stride), (rows, len), to);
            }
            for (panel, values) in values.chunks_exact(I::PANEL * len).enumerate() {
                let weights: (&[f32], usize) = (scores, score_stride);
                multiply_panel(isa, weights, (rows, len), values, (&mut *sums, I::PANEL), |_| ());
                let first = columns.start + panel * I::PANEL;
                let part = first..columns.end.min(first + I::PANEL);
                for (row, (sums, inverse_sum)) in
                    sums.chunks_exact(I::PANEL).zip(inverse_sums).take(rows).enumerate()
                {
                    let context = self.context.part(first_row + row, part.clone());
                    for (to, sum) in context.iter_mut().zip(sums) {
                        *to = sum * inverse_sum;
                    }
                }
            }
        }
    }
}

/// Packs keys as panels of `PANEL` keys each: step `d` holds value `d` of every key. Keys past the last are zero.
#[inline(always)]
pub(crate) fn pack_keys<I: Isa>(
    isa: I,
    panels: &mut [f32],
    key: Rows<'_>,
    tokens: Range<usize>,
    columns: Range<usize>,
) {
    let size = I::PANEL * columns.len();
    for (panel, first) in panels.chunks_exact_mut(size).zip(tokens.clone().step_by(I::PANEL)) {
        let keys = I::PANEL.min(tokens.end - first);
        if keys < I::PANEL {
            panel.fill(0.0);
        }
        let rows = &key.values[first * key.stride + columns.start..];
        transpose(isa, (rows, key.stride), (keys, columns.len()), (panel, I::PANEL));
    }
}

/// Writes rows as columns: value `c` of row `r` goes to `to[c · to_stride + r]`.
#[inline(always)]
pub(crate) fn transpose<I: Isa>(
    isa: I,
    (from, from_stride): (&[f32], usize),
    (rows, columns): (usize, usize),
    (to, to_stride): (&mut [f32], usize),
) {
    let in_squares = columns - columns % SQUARE;
    for square in (0..rows).step_by(SQUARE) {
        let square_rows = SQUARE.min(rows - square);
        let from = &from[square * from_stride..];
        let transposed = if square_rows == SQUARE { in_squares } else { 0 };
        for column in (0..transposed).step_by(SQUARE) {
            let to = &mut to[column * to_stride + square..];
            isa.transpose_square(&from[column..], from_stride, to, to_stride);
        }
        for row in 0..square_rows {
            for column in transposed..columns {
                to[column * to_stride + square + row] = from[row * from_stride + column];
            }
        }
    }
}

/// Packs values as panels of `PANEL` columns each: step `t` holds them for token `t`. Columns past the last are zero.
#[inline(always)]
pub(crate) fn pack_values<I: Isa>(
    panels: &mut [f32],
    value: Rows<'_>,
    tokens: Range<usize>,
    columns: Range<usize>,
) {
    let size = I::PANEL * tokens.len();
    for (panel, first) in panels.chunks_exact_mut(size).zip(columns.clone().step_by(I::PANEL)) {
        let width = I::PANEL.min(columns.end - first);
        for (step, token) in panel.chunks_exact_mut(I::PANEL).zip(tokens.clone()) {
            let row = token * value.stride + first;
            step[..width].copy_from_slice(&value.values[row..row + width]);
            step[width..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::parallel::threads::Threads;
    use crate::cpu::simd::{SelectedIsa, on_every_isa};
    use crate::testing::{assert_all_close, random, sizes};

    #[derive(Clone)]
    struct Case {
        heads: usize,
        head_size: usize,
        lengths: Vec<usize>,
        queries: Queries,
    }

    impl Case {
        fn dim(&self) -> usize {
            self.heads * self.head_size
        }

        /// Query, key and value of every token, side by side.
        fn input(&self) -> Vec<f32> {
            let tokens: usize = self.lengths.iter().sum();
            random(5, tokens * 3 * self.dim()).iter().map(|x| 2.0 * x).collect()
        }

        fn query_tokens(&self, sequence: Range<usize>) -> Range<usize> {
            match self.queries {
                Queries::AllTokens => sequence,
                Queries::FirstTokens => sequence.start..sequence.start + 1,
            }
        }

        /// The naive float64 loop.
        fn expected(&self) -> Vec<f64> {
            let (input, dim) = (self.input(), self.dim());
            let at = |token: usize, column: usize| f64::from(input[token * 3 * dim + column]);
            let mut context = Vec::new();
            for sequence in self.sequences().iter() {
                for query in self.query_tokens(sequence.clone()) {
                    for column in 0..dim {
                        let head = column / self.head_size * self.head_size;
                        let score = |key: usize| {
                            let product: f64 = (head..head + self.head_size)
                                .map(|d| at(query, d) * at(key, dim + d))
                                .sum();
                            (product / (self.head_size as f64).sqrt()).exp()
                        };
                        let total: f64 = sequence.clone().map(score).sum();
                        let sum: f64 = sequence
                            .clone()
                            .map(|key| score(key) * at(key, 2 * dim + column))
                            .sum();
                        context.push(sum / total);
                    }
                }
            }
            context
        }
    }

    impl Case {
        fn sequences(&self) -> Sequences {
            self.lengths.iter().copied().collect()
        }

        fn attend(&self, isa: SelectedIsa) -> Vec<f32> {
            let (input, dim, sequences) = (self.input(), self.dim(), self.sequences());
            let tokens = input.len() / (3 * dim);
            let part = |index: usize| Rows {
                values: &input[index * dim..],
                stride: 3 * dim,
                count: tokens,
            };
            let first_queries: Vec<f32> = sequences
                .iter()
                .flat_map(|s| &input[s.start * 3 * dim..][..dim])
                .copied()
                .collect();
            let query = match self.queries {
                Queries::AllTokens => part(0),
                Queries::FirstTokens => {
                    Rows { values: &first_queries, stride: dim, count: sequences.len() }
                }
            };
            let mut context = vec![f32::NAN; query.count * dim];
            let attention = Attention {
                heads: self.heads,
                head_size: self.head_size,
                sequences: &sequences,
                queries: self.queries,
                query,
                key: part(1),
                value: part(2),
            };
            let threads = Threads::new(1).unwrap();
            let mut scratch = [AttentionScratch::default()];
            threads.run(|leader| {
                let executor = &mut Executor { isa, leader };
                attention.attend(executor, &mut scratch, &mut context, None);
            });
            context
        }
    }

    #[test]
    fn ragged_batches_of_every_head_size_match_float64() {
        let heads = [(1, 1), (2, 3), (4, 5), (3, 16), (2, 17), (1, 24), (2, 32), (2, 64)];
        let batches = [vec![1], vec![7, 1, 16], vec![33, 2, 17, 49], vec![130]];
        for (heads, head_size) in sizes(heads, [(2, 3), (1, 16), (1, 17), (1, 32)]) {
            for lengths in sizes(batches.clone(), [vec![7, 1, 16], vec![33, 2]]) {
                for queries in [Queries::AllTokens, Queries::FirstTokens] {
                    let case = Case { heads, head_size, lengths: lengths.clone(), queries };
                    let expected = case.expected();
                    on_every_isa(|_, isa| assert_all_close(&case.attend(isa), &expected, 1e-5));
                }
            }
        }
    }
}
