//! Attention of first tokens.

use super::{on_one_thread, product, slopes, widen};
use crate::attribution::{AttentionRule, Shares};
use crate::cpu::backward::attention::AttentionBackwardScratch;
use crate::cpu::backward::first_tokens::{FirstTokensBackward, FirstTokensGradients};
use crate::cpu::backward::spread::SpreadSums;
use crate::cpu::gemm::rows::rows;
use crate::cpu::ops::attention::AbsorbedAttention;
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::{SelectedIsa, on_every_isa};
use crate::testing::{assert_all_close, random, sizes};

struct Attending {
    rule: AttentionRule,
    heads: usize,
    head_size: usize,
    lengths: Vec<usize>,
}

/// Gradients, and shares summed over heads.
struct Back {
    queries: Vec<f32>,
    /// Those that tokens get through keys.
    through_keys: Vec<f32>,
    through_values: Vec<f32>,
    shares: Shares,
}

impl Attending {
    fn sequences(&self) -> Sequences {
        self.lengths.iter().copied().collect()
    }

    fn dim(&self) -> usize {
        self.heads * self.head_size
    }

    fn vectors(&self, seed: u64) -> Vec<f32> {
        random(seed, self.lengths.len() * self.heads * self.dim())
    }

    fn queries(&self) -> Vec<f32> {
        self.vectors(21).iter().map(|x| 2.0 * x).collect()
    }

    fn inputs(&self) -> Vec<f32> {
        random(22, self.lengths.iter().sum::<usize>() * self.dim())
    }

    fn context_gradient(&self) -> Vec<f32> {
        random(23, self.lengths.len() * self.dim())
    }

    fn value_vectors(&self) -> Vec<f32> {
        self.vectors(24)
    }

    fn value_bias(&self) -> Vec<f32> {
        random(25, self.dim())
    }

    /// Returns the gradient of a task's context times the bias.
    fn of_bias(&self, task: usize) -> f64 {
        let columns = task % self.heads * self.head_size..(task % self.heads + 1) * self.head_size;
        let row = task / self.heads * self.dim();
        let gradient = widen(&self.context_gradient()[row..row + self.dim()]);
        product(&gradient[columns.clone()], &widen(&self.value_bias())[columns])
    }

    /// The contexts times their gradient, by naive loops over inputs that stand for keys and inputs that stand for
    /// values.
    fn function(&self, queries: &[f64], keys: &[f64], values: &[f64]) -> f64 {
        let (dim, vectors) = (self.dim(), widen(&self.value_vectors()));
        let sequences = self.sequences();
        let row = |of: &[f64], index: usize| of[index * dim..(index + 1) * dim].to_vec();
        let mut total = 0.0;
        for task in 0..sequences.len() * self.heads {
            let tokens = sequences.tokens_of(task / self.heads);
            let exponential = |token: usize| {
                let score = product(&row(queries, task), &row(keys, token));
                (score / (self.head_size as f64).sqrt()).exp()
            };
            let sum: f64 = tokens.clone().map(exponential).sum();
            for token in tokens {
                let value = product(&row(values, token), &row(&vectors, task)) + self.of_bias(task);
                total += exponential(token) / sum * value;
            }
        }
        total
    }

    /// Returns the gradients by central differences, of which the rule may pass a part.
    fn expected(&self) -> [Vec<f64>; 3] {
        let (queries, inputs) = (widen(&self.queries()), widen(&self.inputs()));
        let all = [
            slopes(&queries, |queries| self.function(queries, &inputs, &inputs)),
            slopes(&inputs, |keys| self.function(&queries, keys, &inputs)),
            slopes(&inputs, |values| self.function(&queries, &inputs, values)),
        ];
        let parts = match self.rule {
            AttentionRule::Gradient => [1.0, 1.0, 1.0],
            AttentionRule::HoldWeights => [0.0, 0.0, 1.0],
            AttentionRule::Share => [0.25, 0.25, 0.5],
        };
        let mut index = 0;
        all.map(|slopes| {
            index += 1;
            slopes.iter().map(|slope| slope * parts[index - 1]).collect()
        })
    }

    fn backpropagate(&self, isa: SelectedIsa) -> Back {
        let (dim, sequences) = (self.dim(), &self.sequences());
        let [queries, inputs, vectors] = [self.queries(), self.inputs(), self.value_vectors()];
        let count = sequences.len() * self.heads;
        let mut key_amounts = vec![0.0; sequences.tokens() * self.heads];
        let mut value_amounts = key_amounts.clone();
        let mut shares = vec![Shares::default(); count];
        let mut back = Back {
            queries: vec![0.0; queries.len()],
            through_keys: vec![0.0; inputs.len()],
            through_values: vec![0.0; inputs.len()],
            shares: Shares::default(),
        };
        on_one_thread(isa, |executor| {
            FirstTokensBackward {
                attention: AbsorbedAttention {
                    heads: self.heads,
                    head_size: self.head_size,
                    sequences,
                    inputs: rows(&inputs, dim),
                    queries: &queries,
                },
                rule: self.rule,
                context_gradient: &self.context_gradient(),
                value_vectors: &vectors,
                value_bias: &self.value_bias(),
            }
            .backpropagate(
                executor,
                &mut [AttentionBackwardScratch::default()],
                FirstTokensGradients {
                    amounts: [&mut key_amounts, &mut value_amounts],
                    queries: &mut back.queries,
                    shares: &mut shares,
                },
            );
            let mut write = |amounts: &[f32], vectors: &[f32], to: &mut [f32]| {
                let own = vec![0.0; sequences.len() * dim];
                SpreadSums {
                    heads: self.heads,
                    sequences,
                    amounts: &[amounts],
                    vectors: &[vectors, &own].concat(),
                    factors: None,
                    times_previous: false,
                }
                .write(executor, (to, dim));
            };
            write(&key_amounts, &queries, &mut back.through_keys);
            write(&value_amounts, &vectors, &mut back.through_values);
        });
        shares.into_iter().for_each(|share| back.shares += share);
        back
    }
}

#[test]
fn attention_of_first_tokens_matches_central_differences() {
    for rule in [AttentionRule::Gradient, AttentionRule::Share, AttentionRule::HoldWeights] {
        let few = [(2, 3, vec![5, 1, 2]), (1, 17, vec![2, 3])];
        let all = [
            (1, 1, vec![1]),
            (2, 3, vec![5, 1, 2]),
            (1, 16, vec![7]),
            (2, 17, vec![2, 3]),
            (1, 5, vec![51, 17]),
        ];
        for (heads, head_size, lengths) in sizes(all, few) {
            let case = Attending { rule, heads, head_size, lengths };
            let expected = case.expected();
            let (queries, inputs) = (widen(&case.queries()), widen(&case.inputs()));
            let tasks = case.lengths.len() * heads;
            let factor = if rule == AttentionRule::Share { 0.5 } else { 1.0 };
            let bias: f64 = (0..tasks).map(|task| factor * case.of_bias(task)).sum();
            let out = case.function(&queries, &inputs, &inputs);
            let back: f64 = [&queries, &inputs, &inputs]
                .into_iter()
                .zip(&expected)
                .map(|(a, b)| product(a, b))
                .sum();
            on_every_isa(|set, isa| {
                let found = case.backpropagate(isa);
                let parts = [&found.queries, &found.through_keys, &found.through_values];
                for (found, expected) in parts.into_iter().zip(&expected) {
                    assert_all_close(found, expected, 2e-5);
                }
                let Shares { bias: found_bias, softmax, attention, .. } = found.shares;
                assert!((found_bias - bias).abs() < 2e-4, "{set}: {found_bias} of {bias}");
                // The outputs' relevance is that of the inputs and biases plus the relevance that operations absorb.
                let lost = out - back - bias - softmax - attention;
                assert!(lost.abs() < 2e-4, "{set}, {rule:?}: {lost} of {out}");
            });
        }
    }
}
