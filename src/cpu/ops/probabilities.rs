//! The weights of attention, kept for the way back.

use std::ops::Range;

use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::score_stride;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::simd::Isa;

/// How much each key of a batch counts for the queries, in one layer.
#[derive(Default)]
pub(crate) struct KeptWeights {
    exponentials: AlignedVec,
    shares: AlignedVec,
    /// Where a sequence's exponentials begin, and end.
    starts: Vec<usize>,
}

/// Of one head of one sequence.
pub(crate) struct HeadWeights<T> {
    /// `[keys, queries]`, in rows [`score_stride`] apart: the weights, but for the division by their sum.
    pub exponentials: T,
    /// `[queries]`: one over that sum.
    pub shares: T,
}

impl KeptWeights {
    /// Makes room for a batch.
    pub fn resize<I: Isa>(&mut self, heads: usize, sequences: &[Range<usize>]) {
        let Self { exponentials, shares, starts } = self;
        starts.clear();
        starts.push(0);
        let mut end = 0;
        starts.extend(sequences.iter().map(|tokens| {
            end += heads * tokens.len() * score_stride::<I>(tokens.len());
            end
        }));
        exponentials.resize(end);
        shares.resize(sequences.last().map_or(0, |last| last.end) * heads);
    }

    /// What a head of a sequence, both given by index, has kept.
    pub fn of_head(
        &self,
        (sequence, head): (usize, usize),
        heads: usize,
        tokens: &Range<usize>,
    ) -> HeadWeights<&[f32]> {
        let HeadWeights { exponentials, shares } =
            ranges(&self.starts, (sequence, head), heads, tokens);
        HeadWeights { exponentials: &self.exponentials[exponentials], shares: &self.shares[shares] }
    }

    /// To be written by several threads.
    pub fn parts(&mut self) -> KeptWeightsParts<'_> {
        let Self { exponentials, shares, starts } = self;
        KeptWeightsParts {
            exponentials: Parts::new(exponentials),
            shares: Parts::new(shares),
            starts,
        }
    }
}

/// [`KeptWeights`] that several threads write.
pub(crate) struct KeptWeightsParts<'a> {
    exponentials: Parts<'a>,
    shares: Parts<'a>,
    starts: &'a [usize],
}

impl KeptWeightsParts<'_> {
    /// # Safety
    /// Nobody else holds what is kept of this head of this sequence.
    #[expect(clippy::mut_from_ref, reason = "as for the parts themselves")]
    pub unsafe fn of_head(
        &self,
        (sequence, head): (usize, usize),
        heads: usize,
        tokens: &Range<usize>,
    ) -> HeadWeights<&mut [f32]> {
        let HeadWeights { exponentials, shares } =
            ranges(self.starts, (sequence, head), heads, tokens);
        // SAFETY: the caller's, since heads of sequences have ranges of their own.
        unsafe {
            HeadWeights {
                exponentials: self.exponentials.part(exponentials),
                shares: self.shares.part(shares),
            }
        }
    }
}

fn ranges(
    starts: &[usize],
    (sequence, head): (usize, usize),
    heads: usize,
    tokens: &Range<usize>,
) -> HeadWeights<Range<usize>> {
    let size = (starts[sequence + 1] - starts[sequence]) / heads;
    let first = starts[sequence] + head * size;
    let first_share = tokens.start * heads + head * tokens.len();
    HeadWeights {
        exponentials: first..first + size,
        shares: first_share..first_share + tokens.len(),
    }
}
