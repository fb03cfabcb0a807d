//! Attention probabilities, saved for the backward pass.

use crate::cpu::memory::aligned::AlignedVec;
#[cfg(feature = "explain")]
use crate::cpu::ops::attention::score_stride;
use crate::cpu::parallel::disjoint::HeadRuns;
#[cfg(feature = "explain")]
use crate::cpu::parallel::disjoint::head_run;
use crate::cpu::sequences::Sequences;

/// Attention probabilities of one layer over a batch.
#[derive(Default)]
pub(crate) struct SavedProbabilities {
    exponentials: AlignedVec,
    inverse_sums: AlignedVec,
    /// Start of each sequence's exponentials, and the end of the last.
    starts: Vec<usize>,
}

/// Attention probabilities of one head of one sequence.
pub(crate) struct HeadProbabilities<T> {
    /// `[keys, queries]`, in rows [`score_stride`] apart: the probabilities before the division by their sum.
    pub exponentials: T,
    /// `[queries]`: one over that sum.
    pub inverse_sums: T,
}

impl SavedProbabilities {
    /// Makes room for a batch and panels of `panel` columns.
    #[cfg(feature = "explain")]
    pub fn resize(&mut self, panel: usize, heads: usize, sequences: &Sequences) {
        let Self { exponentials, inverse_sums, starts } = self;
        starts.clear();
        starts.push(0);
        let mut end = 0;
        starts.extend(sequences.iter().map(|tokens| {
            end += heads * tokens.len() * score_stride(panel, tokens.len());
            end
        }));
        exponentials.resize(end);
        inverse_sums.resize(sequences.tokens() * heads);
    }

    /// Returns the probabilities of a head (`index % heads`) of a sequence (`index / heads`).
    #[cfg(feature = "explain")]
    pub fn of_head(
        &self,
        index: usize,
        heads: usize,
        sequences: &Sequences,
    ) -> HeadProbabilities<&[f32]> {
        HeadProbabilities {
            exponentials: &self.exponentials[head_run(&self.starts, 1, heads, index)],
            inverse_sums: &self.inverse_sums[head_run(sequences.cu_seqlens(), heads, heads, index)],
        }
    }

    /// Splits the exponentials and the inverse sums by heads of sequences.
    pub fn split<'a>(
        &'a mut self,
        heads: usize,
        sequences: &'a Sequences,
    ) -> (HeadRuns<'a, f32>, HeadRuns<'a, f32>) {
        let Self { exponentials, inverse_sums, starts } = self;
        (
            HeadRuns::new(exponentials, starts, 1, heads),
            HeadRuns::new(inverse_sums, sequences.cu_seqlens(), heads, heads),
        )
    }
}
