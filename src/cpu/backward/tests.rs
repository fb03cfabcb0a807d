//! Gradients of each operation against central differences of the operation in float64, on every instruction set.

use super::activation::{ActivationBackward, add_bias_shares};
use super::attention::{AttentionBackward, AttentionBackwardScratch, Gradients};
use super::constant_attention::ConstantAttentionBackward;
use super::first_tokens::FirstTokensBackward;
use super::layer_norm::NormBackward;
use super::spread::{Spread, SpreadSums};
use crate::attribution::{ActivationRule, AttentionRule, NormRule, Shares};
use crate::cpu::executor::Executor;
use crate::cpu::gemm::epilogue::{ActivationValue, Epilogue};
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::ops::attention::{Attention, AttentionScratch, Queries};
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::ops::probabilities::SavedProbabilities;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::sequences::Sequences;
use crate::cpu::simd::{SelectedIsa, on_every_isa};
use crate::model::config::Activation;
use crate::model::matrix::Matrix;
use crate::model::weights::{LayerNorm, Linear};
use crate::testing::{assert_all_close, random, sizes};

/// Calls a function with an executor of one thread.
fn on_one_thread(isa: SelectedIsa, work: impl FnOnce(&mut Executor<'_>) + Send) {
    Threads::CALLER.run(|leader| work(&mut Executor { isa, leader }));
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the slope of a function along each of its arguments.
fn slopes(at: &[f64], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let slope = |index: usize| {
        let moved = |step: f64| {
            let mut at = at.to_vec();
            at[index] += step;
            function(&at)
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
    };
    (0..at.len()).map(slope).collect()
}

#[derive(Clone)]
struct Norm {
    rule: NormRule,
    norm: LayerNorm,
    rows: usize,
    bias: Vec<f32>,
}

impl Norm {
    fn input(&self) -> Vec<f32> {
        random(1, self.rows * self.norm.weight.len()).iter().map(|x| 3.0 * x + 0.5).collect()
    }

    fn gradient(&self) -> Vec<f32> {
        random(2, self.rows * self.norm.weight.len())
    }

    fn deviation(row: &[f64]) -> (f64, f64) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
        (mean, (variance + 1e-12).sqrt())
    }
}

impl Norm {
    fn backpropagate(&self, isa: SelectedIsa) -> (Vec<f32>, Vec<Shares>) {
        let (input, mut gradient) = (self.input(), self.gradient());
        let mut shares = vec![Shares::default(); self.rows];
        let inverse = |row: &[f32]| (1.0 / Self::deviation(&widen(row)).1) as f32;
        let saved = match self.rule {
            NormRule::Gradient => input,
            NormRule::HoldDeviation => input.chunks(self.norm.weight.len()).map(inverse).collect(),
        };
        let step =
            NormBackward { norm: &self.norm, rule: self.rule, saved: &saved, bias: &self.bias };
        on_one_thread(isa, |executor| step.backpropagate(executor, &mut gradient, &mut shares));
        (gradient, shares)
    }
}

#[test]
fn layer_norm_matches_central_differences() {
    for rule in [NormRule::Gradient, NormRule::HoldDeviation] {
        for dim in sizes([1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 100], [1, 7, 17, 33]) {
            let norm = LayerNorm {
                weight: random(3, dim).iter().map(|x| 1.0 + x).collect(),
                bias: random(4, dim),
                eps: 1e-12,
            };
            // A single value is its own mean, so it normalizes to zero.
            let rows = if dim == 1 { 0 } else { 35 };
            let case = Norm { rule, norm, rows, bias: random(5, dim) };
            let (weight, bias) = (widen(&case.norm.weight), widen(&case.norm.bias));
            let (mut expected, mut shares) = (Vec::new(), Vec::new());
            let input = widen(&case.input());
            let gradients = widen(&case.gradient());
            for (row, gradient) in input.chunks(dim).zip(gradients.chunks(dim)) {
                let constant = (rule == NormRule::HoldDeviation).then(|| Norm::deviation(row).1);
                let normalize = |row: &[f64]| -> Vec<f64> {
                    let (mean, deviation) = Norm::deviation(row);
                    let deviation = constant.unwrap_or(deviation);
                    (0..dim).map(|i| (row[i] - mean) / deviation * weight[i] + bias[i]).collect()
                };
                let back = slopes(row, |row| product(&normalize(row), gradient));
                let own = product(&bias, gradient);
                let lost = product(&normalize(row), gradient) - own - product(row, &back);
                shares.push((own + product(&back, &widen(&case.bias)), lost));
                expected.extend(back);
            }
            on_every_isa(|_, isa| {
                let (found, found_shares) = case.backpropagate(isa);
                assert_all_close(&found, &expected, 2e-5);
                for (found, &(bias, lost)) in found_shares.iter().zip(&shares) {
                    assert!((found.bias - bias).abs() < 1e-4, "{} of {bias}", found.bias);
                    assert!((found.layer_norm - lost).abs() < 1e-4);
                }
            });
        }
    }
}

#[derive(Clone)]
struct Activated {
    activation: Activation,
    rule: ActivationRule,
    rows: usize,
    width: usize,
}

impl Activated {
    const GAP: usize = 3;

    fn stride(&self) -> usize {
        self.width + Self::GAP
    }

    fn input(&self) -> Vec<f32> {
        random(6, self.rows * self.stride()).iter().map(|x| 4.0 * x).collect()
    }

    fn gradient(&self) -> Vec<f32> {
        random(7, self.rows * self.stride())
    }

    fn bias(&self) -> Vec<f32> {
        random(8, self.width)
    }

    fn without_gaps<T: Copy>(&self, values: &[T]) -> Vec<T> {
        values.chunks(self.stride()).flat_map(|row| &row[..self.width]).copied().collect()
    }
}

impl Activated {
    /// Returns the outputs, the gradients of the inputs, and the shares.
    fn backpropagate(&self, isa: SelectedIsa) -> (Vec<f32>, Vec<f32>, Vec<Shares>) {
        let (input, mut gradient, bias) = (self.input(), self.gradient(), self.bias());
        let mut output = vec![f32::NAN; input.len()];
        let mut saved = output.clone();
        let mut shares = vec![Shares::default(); self.rows];
        let (rule, width, stride) = (self.rule, self.width, self.stride());
        let mut scratch = LinearScratch::default();
        scratch.resize(1);
        on_one_thread(isa, |executor| {
            let identity = (0..width * width).map(|at| f32::from(at % (width + 1) == 0)).collect();
            let identity = Matrix::from_values(width, width, identity);
            let linear = Linear {
                weight: PackedMatrix::<f32>::pack(executor, &identity).unwrap(),
                bias: vec![0.0; width],
            };
            let product = |values, epilogue| Product {
                input: Rows { values, stride, count: self.rows },
                linear: &linear,
                outputs: 0..width,
                epilogue,
            };
            let epilogue = match self.activation {
                Activation::Gelu => Epilogue::BiasGelu,
                Activation::Relu => Epilogue::BiasRelu,
            };
            let value = match rule {
                ActivationRule::Gradient => ActivationValue::Input,
                ActivationRule::HoldQuotient => ActivationValue::Quotient,
            };
            let to_save = Some((value, &mut saved[..]));
            let to = (&mut output[..], stride);
            product(&input, epilogue).multiply_and_save(executor, &mut scratch, to, to_save);
            match rule {
                ActivationRule::Gradient => {
                    let activation = self.activation;
                    ActivationBackward { activation, inputs: &saved, stride, bias: &bias }
                        .backpropagate(executor, &mut gradient, &mut shares);
                }
                ActivationRule::HoldQuotient => {
                    let product = product(&gradient, Epilogue::BiasTimes);
                    product.multiply(executor, &mut scratch, (&mut saved, stride));
                    add_bias_shares(executor, rows(&saved, stride), &bias, &mut shares);
                    gradient = saved;
                }
            }
        });
        (self.without_gaps(&output), self.without_gaps(&gradient), shares)
    }
}

#[test]
fn activations_match_central_differences() {
    fn apply(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Relu => x.max(0.0),
            Activation::Gelu => x / 2.0 * (1.0 + libm::erf(x / 2f64.sqrt())),
        }
    }
    for activation in [Activation::Gelu, Activation::Relu] {
        for rule in [ActivationRule::Gradient, ActivationRule::HoldQuotient] {
            for width in sizes([1, 2, 15, 16, 17, 33, 100], [1, 17, 33]) {
                let case = Activated { activation, rule, rows: 9, width };
                let (input, gradients) = (widen(&case.input()), widen(&case.gradient()));
                let outputs: Vec<f64> = input.iter().map(|&x| apply(activation, x)).collect();
                let (mut expected, mut shares) = (gradients.clone(), Vec::new());
                for row in 0..case.rows {
                    let values = row * case.stride()..row * case.stride() + width;
                    for at in values.clone() {
                        expected[at] *= match rule {
                            ActivationRule::HoldQuotient => outputs[at] / input[at],
                            ActivationRule::Gradient => {
                                slopes(&[input[at]], |x| apply(activation, x[0]))[0]
                            }
                        };
                    }
                    let back = &expected[values.clone()];
                    shares.push((
                        product(back, &widen(&case.bias())),
                        product(&outputs[values.clone()], &gradients[values.clone()])
                            - product(&input[values], back),
                    ));
                }
                let [outputs, expected] =
                    [&outputs, &expected].map(|values| case.without_gaps(values));
                on_every_isa(|_, isa| {
                    let (output, found, found_shares) = case.backpropagate(isa);
                    assert_all_close(&output, &outputs, 2e-6);
                    assert_all_close(&found, &expected, 1e-5);
                    for (found, &(bias, lost)) in found_shares.iter().zip(&shares) {
                        assert!((found.bias - bias).abs() < 1e-4);
                        assert!((found.gelu - lost).abs() < 1e-4, "{} of {lost}", found.gelu);
                    }
                });
            }
        }
    }
}

/// Attention over ragged sequences, in which every token attends, or the first alone.
#[derive(Clone)]
struct Attending {
    rule: AttentionRule,
    queries: Queries,
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

    fn query_rows(&self) -> usize {
        if self.queries == Queries::AllTokens { self.tokens() } else { self.lengths.len() }
    }

    fn query(&self) -> Vec<f32> {
        random(11, self.query_rows() * self.dim()).iter().map(|x| 2.0 * x).collect()
    }

    fn key(&self) -> Vec<f32> {
        random(12, self.tokens() * self.dim()).iter().map(|x| 2.0 * x).collect()
    }

    fn value(&self) -> Vec<f32> {
        random(13, self.tokens() * self.dim())
    }

    fn gradient(&self) -> Vec<f32> {
        random(14, self.query_rows() * self.dim())
    }

    fn bias(&self) -> Vec<f32> {
        random(15, 3 * self.dim())
    }

    /// The contexts times their gradient, by naive loops.
    fn function(&self, query: &[f64], key: &[f64], value: &[f64]) -> f64 {
        let (dim, gradient) = (self.dim(), widen(&self.gradient()));
        let mut total = 0.0;
        for (index, sequence) in self.sequences().iter().enumerate() {
            let rows = match self.queries {
                Queries::AllTokens => sequence.clone(),
                Queries::FirstTokens => index..index + 1,
            };
            for row in rows {
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
        let &Self { rule, queries, heads, head_size, .. } = self;
        let attention = Attention {
            heads,
            head_size,
            sequences,
            queries,
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
        on_one_thread(isa, |executor| match (queries, rule) {
            (Queries::AllTokens, AttentionRule::HoldWeights) => {
                let mut probabilities = SavedProbabilities::default();
                probabilities.resize(isa.shape().panel, heads, sequences);
                let mut context = vec![0.0; context_gradient.len()];
                let mut forward = [AttentionScratch::default()];
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
            (Queries::AllTokens, _) => {
                let Back { query, key, value, .. } = &mut back;
                let step = AttentionBackward { attention, rule, context_gradient, bias };
                let gradients = Gradients { query, key, value };
                step.backpropagate(executor, &mut scratch, gradients, &mut shares);
            }
            (Queries::FirstTokens, _) => {
                let step = FirstTokensBackward { attention, rule, context_gradient, bias };
                let [mut key, mut value] = [Spread::default(), Spread::default()];
                let both = [&mut key, &mut value];
                step.backpropagate(executor, &mut scratch, &mut back.query, both, &mut shares);
                let mut combine = |spread: &[Spread], rows: &mut [f32]| {
                    let mut vectors = spread[0].vectors.to_vec();
                    vectors.resize(vectors.len() + sequences.len() * dim, 0.0);
                    SpreadSums {
                        spreads: spread,
                        heads,
                        sequences,
                        vectors: &vectors,
                        factors: None,
                        times_previous: false,
                    }
                    .write(executor, (rows, dim));
                };
                combine(&[value], &mut back.value);
                if rule != AttentionRule::HoldWeights {
                    combine(&[key], &mut back.key);
                }
            }
        });
        shares.into_iter().for_each(|share| back.shares += share);
        back
    }
}

#[test]
fn attention_matches_central_differences() {
    for rule in [AttentionRule::Gradient, AttentionRule::Share, AttentionRule::HoldWeights] {
        for queries in [Queries::AllTokens, Queries::FirstTokens] {
            let few = [(2, 3, vec![5, 1, 2]), (1, 17, vec![2, 3])];
            let all = [
                (1, 1, vec![1]),
                (2, 3, vec![5, 1, 2]),
                (1, 16, vec![7]),
                (2, 17, vec![2, 3]),
                (1, 5, vec![51, 17]),
            ];
            for (heads, head_size, lengths) in sizes(all, few) {
                let case = Attending { rule, queries, heads, head_size, lengths };
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
}
