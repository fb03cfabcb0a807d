use super::*;
use crate::InstructionSet;
use crate::cpu::ops::attention::Queries::{AllTokens, FirstTokens};
use crate::cpu::ops::attention::tests::Case;
use crate::cpu::simd::on_every_isa;
use crate::quantization::{inverse, step};
use crate::testing::{assert_all_close, sizes};

/// Attention of one head of one sequence, a value at a time. Rows are `[tokens, 3 · dim]`.
struct Naive<'a> {
    input: &'a [f32],
    dim: usize,
    tokens: Range<usize>,
    columns: Range<usize>,
}

/// Values of a row or a column as integers.
struct Quantized {
    center: f32,
    scale: f32,
    integers: Vec<i32>,
}

impl Quantized {
    fn new(values: &[f32], center: f32, largest: f32) -> Self {
        let extent = values.iter().map(|value| (value - center).abs()).fold(0.0, f32::max);
        let scale = step(extent, largest);
        let inverse = inverse(scale);
        let round = |value: &f32| ((value - center) * inverse + 128.0).round_ties_even() - 128.0;
        let integers = values.iter().map(|value| round(value) as i32).collect();
        Self { center, scale, integers }
    }
}

impl Naive<'_> {
    fn at(&self, token: usize, part: usize, column: usize) -> f32 {
        self.input[token * 3 * self.dim + part * self.dim + column]
    }

    fn row(&self, token: usize, part: usize) -> Vec<f32> {
        self.columns.clone().map(|column| self.at(token, part, column)).collect()
    }

    fn column(&self, part: usize, column: usize) -> Vec<f32> {
        self.tokens.clone().map(|token| self.at(token, part, column)).collect()
    }

    fn keys(&self) -> Vec<Quantized> {
        let share = 1.0 / self.tokens.len() as f32;
        let mean: Vec<f32> = self
            .columns
            .clone()
            .map(|column| self.column(1, column).iter().fold(0.0, |sum, x| sum + x) * share)
            .collect();
        let less_mean = |row: Vec<f32>| row.iter().zip(&mean).map(|(x, mean)| x - mean).collect();
        let quantize = |row: Vec<f32>| Quantized::new(&row, 0.0, 63.0);
        self.tokens.clone().map(|token| quantize(less_mean(self.row(token, 1)))).collect()
    }

    fn values(&self) -> Vec<Quantized> {
        let quantize = |values: Vec<f32>| {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            Quantized::new(&values, (least + largest) * 0.5, 63.0)
        };
        self.columns.clone().map(|column| quantize(self.column(2, column))).collect()
    }

    /// Returns the probabilities of a query.
    fn probabilities(&self, query: usize, keys: &[Quantized]) -> Vec<i32> {
        let query = Quantized::new(&self.row(query, 0), 0.0, 127.0);
        let factor = query.scale * (std::f32::consts::LOG2_E / (self.columns.len() as f32).sqrt());
        let scores: Vec<f32> = keys
            .iter()
            .map(|key| {
                let products = key.integers.iter().zip(&query.integers).map(|(k, q)| k * q);
                products.sum::<i32>() as f32 * key.scale
            })
            .collect();
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let power = |score: f32| {
            let x = ((score - largest) * factor).max(-10.0);
            let n = x.round_ties_even();
            let f = x - n;
            let value = 14.027256f32.mul_add(f, 61.763_85).mul_add(f, 176.787_16).mul_add(f, 255.0);
            (value * n.exp2()).round_ties_even() as i32
        };
        scores.into_iter().map(power).collect()
    }

    fn context(&self, query: usize, keys: &[Quantized], values: &[Quantized]) -> Vec<f32> {
        let probabilities = self.probabilities(query, keys);
        let share = 1.0 / probabilities.iter().sum::<i32>() as f32;
        let average = |column: &Quantized| {
            let products = column.integers.iter().zip(&probabilities).map(|(v, p)| v * p);
            let sum = products.sum::<i32>() as f32;
            sum.mul_add(column.scale * share, column.center)
        };
        values.iter().map(average).collect()
    }
}

fn naive(case: &Case, input: &[f32]) -> Vec<f32> {
    let (dim, mut context) = (case.dim(), Vec::new());
    for tokens in case.sequences().iter() {
        let mut heads = Vec::new();
        for head in 0..case.heads {
            let columns = head * case.head_size..(head + 1) * case.head_size;
            let naive = Naive { input, dim, tokens: tokens.clone(), columns };
            let (keys, values) = (naive.keys(), naive.values());
            heads.push((naive, keys, values));
        }
        for query in case.query_tokens(tokens) {
            for (naive, keys, values) in &heads {
                context.extend(naive.context(query, keys, values));
            }
        }
    }
    context
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Checks that every set gives the bits of the naive loop. The portable one, which rounds products before it adds
/// them, may round a few integers the other way.
fn check(case: &Case, input: &[f32], tolerance: f64) {
    let expected = naive(case, input);
    let exact: Vec<f64> = expected.iter().map(|&value| value.into()).collect();
    on_every_isa(|set, isa| {
        let found = case.attend::<IntegerAttention>(isa, input);
        if set == InstructionSet::Portable {
            assert_all_close(&found, &exact, tolerance);
        } else {
            assert_eq!(bits(&found), bits(&expected), "{set}: {found:?} instead of {expected:?}");
        }
    });
}

#[test]
fn ragged_batches_of_every_head_size_match_a_naive_loop() {
    let heads = [(1, 1), (2, 3), (4, 5), (3, 16), (2, 17), (1, 24), (2, 32), (2, 64), (1, 100)];
    let batches = [vec![1], vec![7, 1, 16], vec![33, 2, 17, 49], vec![130], vec![790]];
    for (heads, head_size) in sizes(heads, [(2, 3), (1, 16), (1, 17), (1, 32)]) {
        for lengths in sizes(batches.clone(), [vec![7, 1, 16], vec![33, 2]]) {
            for queries in [AllTokens, FirstTokens] {
                let case = Case { heads, head_size, lengths: lengths.clone(), queries };
                check(&case, &case.input(), 2e-2);
            }
        }
    }
}

#[test]
fn results_are_close_to_float64() {
    for head_size in sizes([1, 17, 32, 64], [17]) {
        let lengths = vec![1, 3, 20, 150];
        let case = Case { heads: 2, head_size, lengths, queries: AllTokens };
        let mut input = case.input();
        let expected = case.expected(&input);
        // Values are within a step of the exact ones, 4 / 126, plus the effect of the probabilities' errors.
        let check = |input: &[f32]| {
            on_every_isa(|_, isa| {
                let found = case.attend::<IntegerAttention>(isa, input);
                assert_all_close(&found, &expected, 0.08);
            });
        };
        check(&input);
        // A large bias that all keys share takes nothing of their range.
        for token in input.chunks_exact_mut(3 * case.dim()) {
            token[case.dim()..2 * case.dim()].iter_mut().for_each(|key| *key += 50.0);
        }
        check(&input);
    }
}

#[test]
fn constant_and_extreme_inputs_match_a_naive_loop() {
    let case = Case { heads: 2, head_size: 20, lengths: vec![5, 1], queries: AllTokens };
    let len = case.input().len();
    for value in [0.0, 3.0, -1e-44] {
        let input = vec![value; len];
        check(&case, &input, 0.0);
        let context = naive(&case, &input);
        assert!(context.iter().all(|&found| found == value), "{context:?}");
    }
    let scaled = |factor: f32| case.input().iter().map(|x| x * factor).collect::<Vec<f32>>();
    check(&case, &scaled(1e-30), 1e-31);
    check(&case, &scaled(1e15), 1e14);
}

#[test]
fn float_attention_serves_first_tokens_and_other_lengths() {
    let lengths = vec![TOKENS.start - 1, TOKENS.start, TOKENS.end - 1, TOKENS.end];
    let lengths: Vec<usize> = lengths.into_iter().filter(|&len| len > 0).collect();
    for queries in [AllTokens, FirstTokens] {
        let case = Case { heads: 1, head_size: 16, lengths: lengths.clone(), queries };
        let input = case.input();
        on_every_isa(|set, isa| {
            let found = case.attend::<Int8Attention>(isa, &input);
            let float = case.attend::<FloatAttention>(isa, &input);
            let integer = case.attend::<IntegerAttention>(isa, &input);
            let mut at = 0;
            for &len in &lengths {
                let rows = if queries == AllTokens { len } else { 1 };
                let part = at..at + rows * case.dim();
                let uses_integers = queries == AllTokens && TOKENS.contains(&len);
                let expected = if uses_integers { &integer } else { &float };
                assert_eq!(
                    bits(&found[part.clone()]),
                    bits(&expected[part.clone()]),
                    "{set} {len}"
                );
                at = part.end;
            }
        });
    }
}
