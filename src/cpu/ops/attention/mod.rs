//! Multi-head attention over packed rows: one task per sequence and head.
//!
//! Sequences are computed separately, so there is no mask. The type of the weights chooses the [`Arithmetic`] of a
//! task.

mod absorbed;
mod bfloat;
mod float;
mod int8;
mod pack;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use self::absorbed::AbsorbedAttention;
pub(crate) use self::bfloat::Bf16Attention;
#[cfg(feature = "explain")]
pub(crate) use self::float::score_stride;
pub(crate) use self::float::{FloatAttention, QUERY_BLOCK};
pub(crate) use self::int8::Int8Attention;
#[cfg(feature = "explain")]
pub(crate) use self::pack::{pack_keys, pack_values, transpose};
use crate::cpu::executor::Executor;
use crate::cpu::gemm::rows::Rows;
use crate::cpu::ops::probabilities::{HeadProbabilities, SavedProbabilities};
use crate::cpu::parallel::disjoint::{Optional, Split};
use crate::cpu::parallel::tiles::{ColumnBlocks, RowBlocks, Tile, Tiles};
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::{Isa, Kernel, TileShape};

/// Arithmetic of attention. A value is one thread's working memory for one task.
pub(crate) trait Arithmetic: Default + Send + 'static {
    /// Makes room for one head of a sequence of up to `tokens` tokens.
    fn resize(&mut self, shape: TileShape, tokens: usize, head_size: usize);

    /// Computes a head of a sequence, without an allocation if there is room for it.
    ///
    /// Implementations are `#[inline(always)]`, like those of [`Kernel::eval`].
    fn attend<I: Isa>(&mut self, isa: I, head: Head<'_>);
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

    /// Computes into `context`, one row of `heads · head_size` values for each query. Where every token attends in
    /// `f32`, the probabilities can be saved.
    pub fn attend<A: Arithmetic>(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [A],
        context: &'a mut [f32],
        saved: Option<&'a mut SavedProbabilities>,
    ) {
        let (isa, shape) = (executor.isa, executor.isa.shape());
        // Every thread gets room for the longest sequence, so that no later call allocates.
        let longest = self.sequences.longest();
        scratch.iter_mut().for_each(|scratch| scratch.resize(shape, longest, self.head_size));
        let context = self.query_tiles(context);
        let saved = saved.map(|saved| saved.split(self.heads, self.sequences));
        let saved = Optional::new(saved, context.parts());
        executor.leader.for_each_with(scratch, (context, saved), |scratch, task, parts| {
            let (context, saved) = parts;
            let saved = saved.map(|(exponentials, inverse_sums)| HeadProbabilities {
                exponentials,
                inverse_sums,
            });
            let tokens = self.sequences.tokens_of(task / self.heads);
            let head = Head { attention: self, tokens, context, saved };
            isa.dispatch(Task { scratch, head });
        });
    }
}

/// One head of one sequence.
pub(crate) struct Head<'a> {
    attention: &'a Attention<'a>,
    tokens: Range<usize>,
    /// The queries' rows by the head's columns.
    context: Tile<'a>,
    saved: Option<HeadProbabilities<&'a mut [f32]>>,
}

impl Head<'_> {
    /// Writes a panel of weighted sums to the context, each row times one over its sum of probabilities. The panel's
    /// columns begin `first` columns after the head's.
    #[inline(always)]
    fn write_averages<I: Isa>(
        &mut self,
        (rows, first): (Range<usize>, usize),
        sums: &[f32],
        inverse_sums: &[f32],
    ) {
        let columns = self.context.columns();
        let start = columns.start + first;
        let part = start..columns.end.min(start + I::PANEL);
        let each = rows.zip(sums.chunks_exact(I::PANEL)).zip(inverse_sums);
        for ((row, sums), &inverse_sum) in each {
            for (to, sum) in self.context.part(row, part.clone()).iter_mut().zip(sums) {
                *to = sum * inverse_sum;
            }
        }
    }
}

/// A head and the memory of the thread that computes it.
struct Task<'a, A> {
    scratch: &'a mut A,
    head: Head<'a>,
}

impl<A: Arithmetic> Kernel for Task<'_, A> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        self.scratch.attend(isa, self.head);
    }
}
