//! Gradients of tokens that few vectors make up.
//!
//! In the last layer only first tokens ask, so a head of a sequence has one query there. The gradient of
//! each key is that query times a number, and that of each value the context's gradient times another. It is
//! these vectors that go through matrices, once for a head rather than once for a token, until tokens
//! differ in more than the numbers, which then share out what has become of the vectors.

use std::ops::Range;

use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::lanes::{load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Tokens of one task: a few microseconds.
const TASK_TOKENS: usize = 16;

/// Gradients of the keys or of the values of a batch: a vector for each sequence and head, and how much of
/// it each token has.
#[derive(Default)]
pub(super) struct Spread {
    /// `[sequences · heads, dim]`, zero but for the head's own columns.
    pub vectors: AlignedVec,
    /// For each sequence, `[heads, tokens]`.
    pub amounts: AlignedVec,
}

impl Spread {
    pub fn resize(&mut self, heads: usize, dim: usize, sequences: usize, tokens: usize) {
        self.vectors.resize(sequences * heads * dim);
        self.vectors.fill(0.0);
        self.amounts.resize(tokens * heads);
    }
}

/// Rows of tokens as sums of vectors.
pub(super) struct SpreadOut<'a> {
    pub heads: usize,
    /// The tokens of each sequence.
    pub sequences: &'a [Range<usize>],
    pub spreads: &'a [Spread],
    /// What has become of each spread's vectors, one spread after the other, and then a row for each
    /// sequence, which its first token has to itself.
    pub vectors: &'a [f32],
    /// What the sums are multiplied with, for each token; unless there is none.
    pub factors: Option<&'a [f32]>,
    /// Whether they are multiplied with what the rows held as well.
    pub times_held: bool,
}

impl SpreadOut<'_> {
    /// Writes a row for each token, `stride` apart.
    pub fn run<I: Isa>(&self, isa: I, team: &Team, rows: &mut [f32], stride: usize) {
        let count = self.sequences.len();
        let width = self.vectors.len() / (count * (self.spreads.len() * self.heads + 1));
        let blocks = self.sequences.iter().map(Range::len).max().unwrap_or(0).div_ceil(TASK_TOKENS);
        let rows = Parts::new(rows);
        team.for_each(count * blocks, |_, task| {
            let (sequence, block) = (task / blocks, task % blocks);
            let tokens = self.sequences[sequence].clone();
            let first = tokens.start + block * TASK_TOKENS;
            for token in first..tokens.end.min(first + TASK_TOKENS) {
                // SAFETY: each task takes the rows of its own tokens.
                let row = unsafe { rows.part(token * stride..token * stride + width) };
                isa.run(Sum { sums: self, sequence, token, row });
            }
        });
    }
}

/// One token's row.
struct Sum<'a> {
    sums: &'a SpreadOut<'a>,
    sequence: usize,
    token: usize,
    row: &'a mut [f32],
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { sums, sequence, token, row } = self;
        let &SpreadOut { heads, sequences, spreads, vectors, factors, times_held } = sums;
        let width = row.len();
        let tokens = sequences[sequence].clone();
        let own = &vectors[(spreads.len() * sequences.len() * heads + sequence) * width..][..width];
        let factor = isa.splat(factors.map_or(1.0, |factors| factors[token]));
        for at in starts(isa, width) {
            let is_first = token == tokens.start;
            let mut sum = if is_first { load_at(isa, own, at) } else { isa.splat(0.0) };
            for (index, Spread { amounts, .. }) in spreads.iter().enumerate() {
                let first = (index * sequences.len() + sequence) * heads;
                for head in 0..heads {
                    let amount =
                        amounts[tokens.start * heads + head * tokens.len() + token - tokens.start];
                    let vector = &vectors[(first + head) * width..][..width];
                    sum = isa.mul_add(load_at(isa, vector, at), isa.splat(amount), sum);
                }
            }
            sum = isa.mul(sum, factor);
            if times_held {
                sum = isa.mul(sum, load_at(isa, row, at));
            }
            store_at(isa, sum, row, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::parallel::threads::Threads;
    use crate::cpu::simd::on_every_set;
    use crate::testing::{assert_all_close, random, sequences, sizes};

    #[derive(Clone)]
    struct Case {
        heads: usize,
        spreads: usize,
        lengths: Vec<usize>,
        width: usize,
        with_factors: bool,
        times_held: bool,
    }

    const GAP: usize = 3;

    impl Case {
        fn tokens(&self) -> usize {
            self.lengths.iter().sum()
        }

        fn amounts(&self, spread: usize) -> Vec<f32> {
            random(1 + spread as u64, self.tokens() * self.heads)
        }

        fn vectors(&self) -> Vec<f32> {
            random(5, self.lengths.len() * (self.spreads * self.heads + 1) * self.width)
        }

        fn factors(&self) -> Option<Vec<f32>> {
            self.with_factors.then(|| random(6, self.tokens()))
        }

        fn held(&self) -> Vec<f32> {
            random(7, self.tokens() * (self.width + GAP))
        }

        /// The naive float64 loop.
        fn expected(&self) -> Vec<f64> {
            let (vectors, held, factors) = (self.vectors(), self.held(), self.factors());
            let count = self.lengths.len();
            let mut rows: Vec<f64> = held.iter().map(|&value| f64::from(value)).collect();
            for (sequence, tokens) in sequences(&self.lengths).into_iter().enumerate() {
                for (token, column) in
                    tokens.clone().flat_map(|token| (0..self.width).map(move |c| (token, c)))
                {
                    let at = |row: usize| f64::from(vectors[row * self.width + column]);
                    let mut sum = 0.0;
                    for spread in 0..self.spreads {
                        let amounts = self.amounts(spread);
                        let amounts = &amounts[tokens.start * self.heads..];
                        for head in 0..self.heads {
                            let amount = amounts[head * tokens.len() + token - tokens.start];
                            let row = (spread * count + sequence) * self.heads + head;
                            sum += f64::from(amount) * at(row);
                        }
                    }
                    if token == tokens.start {
                        sum += at(self.spreads * count * self.heads + sequence);
                    }
                    if let Some(factors) = &factors {
                        sum *= f64::from(factors[token]);
                    }
                    let row = &mut rows[token * (self.width + GAP) + column];
                    *row = if self.times_held { *row * sum } else { sum };
                }
            }
            rows
        }
    }

    impl Kernel for Case {
        type Output = Vec<f32>;

        fn run<I: Isa>(self, isa: I) -> Vec<f32> {
            let spreads: Vec<Spread> = (0..self.spreads)
                .map(|spread| {
                    let amounts = self.amounts(spread);
                    let mut aligned = AlignedVec::zeroed(amounts.len());
                    aligned.copy_from_slice(&amounts);
                    Spread { vectors: AlignedVec::default(), amounts: aligned }
                })
                .collect();
            let (mut rows, factors) = (self.held(), self.factors());
            let out = SpreadOut {
                heads: self.heads,
                sequences: &sequences(&self.lengths),
                spreads: &spreads,
                vectors: &self.vectors(),
                factors: factors.as_deref(),
                times_held: self.times_held,
            };
            Threads::Caller.run(|team| out.run(isa, team, &mut rows, self.width + GAP));
            rows
        }
    }

    #[test]
    fn rows_of_every_width_match_float64() {
        for width in sizes([1, 2, 15, 16, 17, 33, 100], [1, 17, 33]) {
            for (heads, spreads, lengths) in
                [(1, 1, vec![1]), (2, 1, vec![5, 1, 18]), (3, 2, vec![2, 33])]
            {
                for (with_factors, times_held) in [(false, false), (true, false), (true, true)] {
                    let lengths = lengths.clone();
                    let case = Case { heads, spreads, lengths, width, with_factors, times_held };
                    let expected = case.expected();
                    on_every_set(case, |_, found| assert_all_close(&found, &expected, 5e-6));
                }
            }
        }
    }
}
