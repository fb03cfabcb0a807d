use super::*;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::{SelectedIsa, on_every_isa};
use crate::testing::{assert_all_close, random, sizes};

#[derive(Clone)]
pub(super) struct Case {
    pub heads: usize,
    pub head_size: usize,
    pub lengths: Vec<usize>,
    pub queries: Queries,
}

impl Case {
    pub fn dim(&self) -> usize {
        self.heads * self.head_size
    }

    /// Query, key and value of every token, side by side.
    pub fn input(&self) -> Vec<f32> {
        let tokens: usize = self.lengths.iter().sum();
        random(5, tokens * 3 * self.dim()).iter().map(|x| 2.0 * x).collect()
    }

    pub fn query_tokens(&self, sequence: Range<usize>) -> Range<usize> {
        match self.queries {
            Queries::AllTokens => sequence,
            Queries::FirstTokens => sequence.start..sequence.start + 1,
        }
    }

    /// The naive float64 loop.
    pub fn expected(&self, input: &[f32]) -> Vec<f64> {
        let dim = self.dim();
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
                    let sum: f64 =
                        sequence.clone().map(|key| score(key) * at(key, 2 * dim + column)).sum();
                    context.push(sum / total);
                }
            }
        }
        context
    }
}

impl Case {
    pub fn sequences(&self) -> Sequences {
        self.lengths.iter().copied().collect()
    }

    /// Computes with an arithmetic.
    pub fn attend<A: Arithmetic>(&self, isa: SelectedIsa, input: &[f32]) -> Vec<f32> {
        let (dim, sequences) = (self.dim(), self.sequences());
        let tokens = input.len() / (3 * dim);
        let part =
            |index: usize| Rows { values: &input[index * dim..], stride: 3 * dim, count: tokens };
        let first_queries: Vec<f32> =
            sequences.iter().flat_map(|s| &input[s.start * 3 * dim..][..dim]).copied().collect();
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
        let mut scratch = [A::default()];
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
                let input = case.input();
                let expected = case.expected(&input);
                on_every_isa(|_, isa| {
                    let found = case.attend::<FloatAttention>(isa, &input);
                    assert_all_close(&found, &expected, 1e-5);
                });
            }
        }
    }
}
