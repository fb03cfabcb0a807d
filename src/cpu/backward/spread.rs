//! Gradients of tokens that are multiples of a few vectors.
//!
//! In the last layer only first tokens attend, so a head of a sequence has one query there. The gradient that a token
//! gets through its key is that query, multiplied by the key matrix, times a number, and the one through its value is the
//! context's gradient, multiplied by the value matrix, times another. As long as tokens differ only in these numbers, the
//! vectors are multiplied by matrices, once for a head rather than once for a token. Then the results are combined for
//! each token.

use crate::cpu::executor::Executor;
use crate::cpu::parallel::disjoint::TokenBlocks;
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::lanes::{load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Tokens of one task: a few microseconds.
const TASK_TOKENS: usize = 16;

/// Rows of tokens as sums of vectors.
pub(super) struct SpreadSums<'a> {
    pub heads: usize,
    pub sequences: &'a Sequences,
    /// Each token's amount of a vector of each head, `[heads, tokens]` for each sequence; one or more of these.
    pub amounts: &'a [&'a [f32]],
    /// `[sequences · heads]` vectors for each of the amounts, one after the other, and then one for each sequence that
    /// belongs to its first token.
    pub vectors: &'a [f32],
    /// Factor of each token's sum, or `None` for a factor of one.
    pub factors: Option<&'a [f32]>,
    /// `true` if the sums are multiplied with the previous values of the rows as well.
    pub times_previous: bool,
}

impl SpreadSums<'_> {
    /// Writes a row for each token, `stride` values apart.
    pub fn write(&self, executor: &mut Executor<'_>, (rows, stride): (&mut [f32], usize)) {
        let isa = executor.isa;
        let blocks = TokenBlocks::new(rows, stride, self.sequences, TASK_TOKENS);
        executor.leader.for_each(blocks, |_, (sequence, tokens, rows)| {
            isa.dispatch(SumRows { sums: self, sequence, first_token: tokens.start, rows, stride });
        });
    }
}

/// A task: rows of consecutive tokens of a sequence.
struct SumRows<'a> {
    sums: &'a SpreadSums<'a>,
    sequence: usize,
    first_token: usize,
    rows: &'a mut [f32],
    stride: usize,
}

impl Kernel for SumRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { sums, sequence, first_token, rows, stride } = self;
        let &SpreadSums { heads, sequences, amounts, vectors, factors, times_previous } = sums;
        let count = sequences.len();
        let width = vectors.len() / (count * (amounts.len() * heads + 1));
        let tokens = sequences.tokens_of(sequence);
        let own = &vectors[(amounts.len() * count * heads + sequence) * width..][..width];
        for (token, row) in (first_token..).zip(rows.chunks_exact_mut(stride)) {
            let row = &mut row[..width];
            let factor = isa.splat(factors.map_or(1.0, |factors| factors[token]));
            for at in starts(isa, width) {
                let is_first = token == tokens.start;
                let mut sum = if is_first { load_at(isa, own, at) } else { isa.splat(0.0) };
                for (index, amounts) in amounts.iter().enumerate() {
                    let first = (index * count + sequence) * heads;
                    for head in 0..heads {
                        let amount = amounts
                            [tokens.start * heads + head * tokens.len() + token - tokens.start];
                        let vector = &vectors[(first + head) * width..][..width];
                        sum = isa.mul_add(load_at(isa, vector, at), isa.splat(amount), sum);
                    }
                }
                sum = isa.mul(sum, factor);
                if times_previous {
                    sum = isa.mul(sum, load_at(isa, row, at));
                }
                store_at(isa, sum, row, at);
            }
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
        spreads: usize,
        lengths: Vec<usize>,
        width: usize,
        with_factors: bool,
        times_previous: bool,
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

        fn previous(&self) -> Vec<f32> {
            random(7, self.tokens() * (self.width + GAP))
        }

        /// The naive float64 loop.
        fn expected(&self) -> Vec<f64> {
            let (vectors, previous, factors) = (self.vectors(), self.previous(), self.factors());
            let count = self.lengths.len();
            let mut rows: Vec<f64> = previous.iter().map(|&value| f64::from(value)).collect();
            for (sequence, tokens) in self.sequences().iter().enumerate() {
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
                    *row = if self.times_previous { *row * sum } else { sum };
                }
            }
            rows
        }
    }

    impl Case {
        fn sequences(&self) -> Sequences {
            self.lengths.iter().copied().collect()
        }

        fn write(&self, isa: SelectedIsa) -> Vec<f32> {
            let amounts: Vec<_> = (0..self.spreads).map(|spread| self.amounts(spread)).collect();
            let amounts: Vec<_> = amounts.iter().map(|amounts| &amounts[..]).collect();
            let (mut rows, factors) = (self.previous(), self.factors());
            let sums = SpreadSums {
                heads: self.heads,
                sequences: &self.sequences(),
                amounts: &amounts,
                vectors: &self.vectors(),
                factors: factors.as_deref(),
                times_previous: self.times_previous,
            };
            Threads::CALLER.run(|leader| {
                sums.write(&mut Executor { isa, leader }, (&mut rows, self.width + GAP));
            });
            rows
        }
    }

    #[test]
    fn rows_of_every_width_match_float64() {
        for width in sizes([1, 2, 15, 16, 17, 33, 100], [1, 17, 33]) {
            for (heads, spreads, lengths) in
                [(1, 1, vec![1]), (2, 1, vec![5, 1, 18]), (3, 2, vec![2, 33])]
            {
                for (with_factors, times_previous) in [(false, false), (true, false), (true, true)]
                {
                    let lengths = lengths.clone();
                    let case =
                        Case { heads, spreads, lengths, width, with_factors, times_previous };
                    let expected = case.expected();
                    on_every_isa(|_, isa| assert_all_close(&case.write(isa), &expected, 5e-6));
                }
            }
        }
    }
}
