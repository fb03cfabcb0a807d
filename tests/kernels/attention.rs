//! `kernels/attention.cu`: fused attention over packed rows.

use std::sync::LazyLock;

use half::f16;

use super::{Argument, Device, arguments, assert_half_close, module, random};
use ptx_machine::{Error, Module};

static MODULE: LazyLock<Module> = LazyLock::new(|| module("attention"));

/// Queries per block.
const QUERIES: usize = 64;
const THREADS: u32 = 128;

pub struct Case {
    pub heads: usize,
    pub head_size: usize,
    pub lengths: Vec<usize>,
    /// Query, key and value of every token, concatenated.
    pub input: Vec<f16>,
}

impl Case {
    pub fn new(heads: usize, head_size: usize, lengths: &[usize]) -> Self {
        let tokens: usize = lengths.iter().sum();
        let input = random(5, tokens * 3 * heads * head_size, 2.0);
        Self { heads, head_size, lengths: lengths.to_vec(), input }
    }

    fn dim(&self) -> usize {
        self.heads * self.head_size
    }

    fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    fn ends(&self) -> Vec<i32> {
        let next = |end: &mut usize, len: &usize| {
            *end += len;
            Some(*end as i32)
        };
        self.lengths.iter().scan(0, next).collect()
    }

    /// Runs the kernel and returns the context of every token.
    pub fn run(&self, module: &Module) -> Result<Vec<f16>, Error> {
        let mut device = Device::new(module);
        let row = 3 * self.dim();
        let input = device.upload(&self.input);
        let [key, value] = [1, 2].map(|part| input + (part * self.dim() * size_of::<f16>()) as u64);
        let ends = device.upload(&self.ends());
        let context = device.room::<f16>(self.tokens() * self.dim());
        let longest = self.lengths.iter().max().unwrap();
        let grid = [longest.div_ceil(QUERIES), self.heads, self.lengths.len()].map(|n| n as u32);
        device.try_launch(
            &format!("attention_{}", self.head_size),
            grid,
            THREADS,
            arguments![input, key, value, ends, context, row as u32, row as u32],
        )?;
        Ok(device.download(context, self.tokens() * self.dim()))
    }

    /// Runs the kernel for the first token of each sequence, whose queries are separate rows, and returns their context.
    fn run_first(&self, module: &Module) -> Vec<f16> {
        let mut device = Device::new(module);
        let (dim, row) = (self.dim(), 3 * self.dim());
        let mut start = 0;
        let mut queries: Vec<f16> = Vec::new();
        for len in &self.lengths {
            queries.extend(&self.input[start * row..][..dim]);
            start += len;
        }
        let query = device.upload(&queries);
        let input = device.upload(&self.input);
        let [key, value] = [1, 2].map(|part| input + (part * dim * size_of::<f16>()) as u64);
        let ends = device.upload(&self.ends());
        let context = device.room::<f16>(queries.len());
        device.launch(
            &format!("attention_first_{}", self.head_size),
            [1, self.heads as u32, self.lengths.len() as u32],
            THREADS,
            arguments![query, key, value, ends, context, dim as u32, row as u32],
        );
        device.download(context, queries.len())
    }

    /// Computes attention with naive float64 loops.
    pub fn expected(&self) -> Vec<f64> {
        let dim = self.dim();
        let at = |token: usize, column: usize| self.input[token * 3 * dim + column].to_f64();
        let mut context = Vec::new();
        let mut start = 0;
        for len in &self.lengths {
            let keys = start..start + len;
            start = keys.end;
            for query in keys.clone() {
                for head in (0..dim).step_by(self.head_size) {
                    let columns = head..head + self.head_size;
                    let score = |key| {
                        let products = columns.clone().map(|d| at(query, d) * at(key, dim + d));
                        products.sum::<f64>() / (self.head_size as f64).sqrt()
                    };
                    let scores: Vec<f64> = keys.clone().map(score).collect();
                    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                    let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                    let total: f64 = weights.iter().sum();
                    context.extend(columns.clone().map(|column| {
                        let values = keys.clone().map(|key| at(key, 2 * dim + column));
                        values.zip(&weights).map(|(v, w)| v * w).sum::<f64>() / total
                    }));
                }
            }
        }
        context
    }
}

/// Error of a sum of values below 2 if attention probabilities are rounded to f16.
pub const TOLERANCE: f64 = 2e-3;

#[test]
fn ragged_batches_match_float64_for_every_head_size() {
    for (heads, head_size) in [(2, 16), (3, 32), (2, 64), (1, 128)] {
        for lengths in [
            vec![1],
            vec![2, 3, 15, 16, 17],
            vec![7, 1, 64],
            vec![31, 0, 32, 33, 0],
            vec![65, 16, 63],
            vec![127, 128, 129],
            vec![512],
        ] {
            let case = Case::new(heads, head_size, &lengths);
            let found = case.run(&MODULE).unwrap();
            for (&found, &expected) in found.iter().zip(&case.expected()) {
                assert_half_close(found, expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn first_token_queries_are_bit_identical() {
    for (heads, head_size) in [(2, 32), (2, 64)] {
        let case = Case::new(heads, head_size, &[7, 65, 1, 130]);
        let (all, first) = (case.run(&MODULE).unwrap(), case.run_first(&MODULE));
        let mut start = 0;
        for (len, first) in case.lengths.iter().zip(first.chunks(case.dim())) {
            assert_eq!(first, &all[start * case.dim()..][..case.dim()]);
            start += len;
        }
    }
}

#[test]
fn sequences_are_bit_identical_in_any_batch() {
    let batch = Case::new(2, 64, &[3, 70, 20]);
    let found = batch.run(&MODULE).unwrap();
    let row = 3 * batch.dim();
    let input = batch.input[3 * row..73 * row].to_vec();
    let alone = Case { input, ..Case::new(2, 64, &[70]) };
    let alone = alone.run(&MODULE).unwrap();
    assert_eq!(alone, found[3 * batch.dim()..73 * batch.dim()]);
}
