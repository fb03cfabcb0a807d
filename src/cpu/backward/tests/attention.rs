//! Attention.

use super::{on_one_thread, product, slopes, widen};
use crate::attribution::{AttentionRule, Shares};
use crate::cpu::backward::attention::{AttentionBackward, AttentionBackwardScratch, Gradients};
use crate::cpu::backward::constant_attention::ConstantAttentionBackward;
use crate::cpu::gemm::rows::rows;
use crate::cpu::ops::attention::{Attention, FloatAttention, Queries};
use crate::cpu::ops::probabilities::SavedProbabilities;
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::{SelectedIsa, on_every_isa};
use crate::testing::{assert_all_close, random, sizes};

/// Attention over ragged sequences.
#[derive(Clone)]
struct Attending {
    rule: AttentionRule,
    heads: usize,
    head_size: usize,
    lengths: Vec<usize>,
}

/// Gradients of queries, keys and values, and shares summed over heads.
struct Back {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    shares: Shares,
}

impl Attending {
    fn sequences(&self) -> Sequences {
        self.lengths.iter().copied().collect()
    }

    fn dim(&self) -> usize {
        self.heads * self.head_size
    }

    fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    fn query(&self) -> Vec<f32> {
        random(11, self.tokens() * self.dim()).iter().map(|x| 2.0 * x).collect()
    }

    fn key(&self) -> Vec<f32> {
        random(12, self.tokens() * self.dim()).iter().map(|x| 2.0 * x).collect()
    }

    fn value(&self) -> Vec<f32> {
        random(13, self.tokens() * self.dim())
    }

    fn gradient(&self) -> Vec<f32> {
        random(14, self.tokens() * self.dim())
    }

    fn bias(&self) -> Vec<f32> {
        random(15, 3 * self.dim())
    }

    /// The contexts times their gradient, by naive loops.
    fn function(&self, query: &[f64], key: &[f64], value: &[f64]) -> f64 {
        let (dim, gradient) = (self.dim(), widen(&self.gradient()));
        let mut total = 0.0;
        for sequence in self.sequences().iter() {
            for row in sequence.clone() {
                for head in (0..dim).step_by(self.head_size) {
                    let columns = head..head + self.head_size;
                    let part = |values: &[f64], row: usize| -> Vec<f64> {
                        values[row * dim..][columns.clone()].to_vec()
                    };
                    let score = |token: usize| {
                        let scale = (self.head_size as f64).sqrt();
                        (product(&part(query, row), &part(key, token)) / scale).exp()
                    };
                    let sum: f64 = sequence.clone().map(score).sum();
                    for token in sequence.clone() {
                        total += score(token) / sum
                            * product(&part(value, token), &part(&gradient, row));
                    }
                }
            }
        }
        total
    }

    /// Returns the gradients by central differences. With constant probabilities, those of queries and keys are zero;
    /// with sharing, values get half of theirs, queries and keys a quarter each.
    fn expected(&self) -> [Vec<f64>; 3] {
        let [query, key, value] = [self.query(), self.key(), self.value()].map(|v| widen(&v));
        let all = [
            slopes(&query, |query| self.function(query, &key, &value)),
            slopes(&key, |key| self.function(&query, key, &value)),
            slopes(&value, |value| self.function(&query, &key, value)),
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
}

impl Attending {
    fn backpropagate(&self, isa: SelectedIsa) -> Back {
        let (dim, sequences) = (self.dim(), &self.sequences());
        let [query, key, value] = [self.query(), self.key(), self.value()];
        let (context_gradient, bias) = (&self.gradient()[..], &self.bias()[..]);
        let &Self { rule, heads, head_size, .. } = self;
        let attention = Attention {
            heads,
            head_size,
            sequences,
            queries: Queries::AllTokens,
            query: rows(&query, dim),
            key: rows(&key, dim),
            value: rows(&value, dim),
        };
        let mut back = Back {
            query: vec![0.0; query.len()],
            key: vec![0.0; key.len()],
            value: vec![0.0; value.len()],
            shares: Shares::default(),
        };
        let mut shares = vec![Shares::default(); sequences.len() * heads];
        let mut scratch = [AttentionBackwardScratch::default()];
        on_one_thread(isa, |executor| match rule {
            AttentionRule::HoldWeights => {
                let mut probabilities = SavedProbabilities::default();
                probabilities.resize(isa.shape().panel, heads, sequences);
                let mut context = vec![0.0; context_gradient.len()];
                let mut forward = [FloatAttention::default()];
                attention.attend(executor, &mut forward, &mut context, Some(&mut probabilities));
                ConstantAttentionBackward {
                    heads,
                    head_size,
                    sequences,
                    probabilities: &probabilities,
                    context_gradient,
                    bias: &bias[2 * dim..],
                }
                .backpropagate(
                    executor,
                    &mut scratch,
                    &mut back.value,
                    &mut shares,
                );
            }
            AttentionRule::Gradient | AttentionRule::Share => {
                let Back { query, key, value, .. } = &mut back;
                let step = AttentionBackward { attention, rule, context_gradient, bias };
                let gradients = Gradients { query, key, value };
                step.backpropagate(executor, &mut scratch, gradients, &mut shares);
            }
        });
        shares.into_iter().for_each(|share| back.shares += share);
        back
    }
}

#[test]
fn attention_matches_central_differences() {
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
            let parts = [case.query(), case.key(), case.value()].map(|values| widen(&values));
            let dim = case.dim();
            let bias: f64 = expected
                .iter()
                .zip(widen(&case.bias()).chunks(dim))
                .flat_map(|(gradients, bias)| gradients.chunks(dim).map(|g| product(g, bias)))
                .sum();
            let out = case.function(&parts[0], &parts[1], &parts[2]);
            let back: f64 = parts.iter().zip(&expected).map(|(a, b)| product(a, b)).sum();
            on_every_isa(|set, isa| {
                let found = case.backpropagate(isa);
                for (found, expected) in
                    [&found.query, &found.key, &found.value].into_iter().zip(&expected)
                {
                    assert_all_close(found, expected, 2e-5);
                }
                let Shares { bias: found_bias, softmax, attention, .. } = found.shares;
                assert!((found_bias - bias).abs() < 2e-4, "{set}: {found_bias} of {bias}");
                // The outputs' relevance is that of the inputs and biases plus the relevance that operations
                // absorb.
                let lost = out - back - softmax - attention;
                assert!(lost.abs() < 2e-4, "{set}, {rule:?}: {lost} of {out}");
            });
        }
    }
}
