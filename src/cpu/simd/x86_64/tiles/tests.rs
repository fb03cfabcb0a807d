//! The loop against a naive one, on any x86-64 machine: where AMX is missing, its instructions are trapped as illegal and
//! computed by [`trap`].

mod trap;

use half::bf16;

use super::super::amx::AmxBf16;
use super::*;
use crate::cpu::gemm::tile::{Ahead, Operands, TileOutput, TileRows};
use crate::cpu::simd::bfloat::{Bf16Unit, narrow, widen};
use crate::testing::random;

const SIZES: [(usize, usize); 9] =
    [(1, 16), (1, 3), (5, 1), (12, 33), (15, 17), (16, 16), (17, 48), (31, 20), (32, 64)];

/// Runs a product of `rows` rows and `steps` steps of `group` inputs into an output that has values already.
fn product<A: Copy + Default, W: Copy, S: Copy>(
    (rows, steps, group): (usize, usize, usize),
    (inputs, weights): (&[A], &[W]),
    (output, accumulate): (&mut [S], bool),
    multiply: impl FnOnce(&Operands<A, W, S>),
) {
    let (depth, stride) = (steps * group, inputs.len() / rows);
    let input = TileRows { values: inputs, stride, rows, depth };
    let stride = output.len() / rows;
    let output = TileOutput { values: output, stride, accumulate };
    multiply(&Operands::new(input, weights, Ahead::new(weights), output, (PANEL, group)));
}

/// Returns inputs, weights and previous outputs, with gaps between the rows.
fn operands(rows: usize, depth: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    (random(1, rows * (depth + 7)), random(2, depth * PANEL), random(3, rows * (PANEL + 3)))
}

#[test]
fn bytes_match_a_naive_loop() {
    trap::with_amx(|| {
        for (rows, steps) in SIZES.map(|(rows, steps)| (rows, steps.next_multiple_of(GROUPS))) {
            for accumulate in [false, true] {
                let depth = 4 * steps;
                let (inputs, weights, before) = operands(rows, depth);
                let inputs: Vec<u8> = inputs.iter().map(|x| (x * 400.0 + 128.0) as u8).collect();
                let weights: Vec<i8> = weights.iter().map(|x| (x * 126.0) as i8).collect();
                let before: Vec<i32> = before.iter().map(|x| (x * 1e3) as i32).collect();
                let mut found = before.clone();
                product(
                    (rows, steps, 4),
                    (&inputs, &weights),
                    (&mut found, accumulate),
                    // SAFETY: the instructions work here; the operands have whole iterations.
                    |operands| unsafe {
                        multiply_bytes(&Tiles::new(operands, GROUPS, steps / GROUPS));
                    },
                );
                let (stride, input_stride) = (PANEL + 3, depth + 7);
                for (at, &found) in found.iter().enumerate() {
                    let (row, column) = (at / stride, at % stride);
                    let products = (0..depth).map(|k| {
                        let weight = weights[(k / 4 * PANEL + column) * 4 + k % 4];
                        i32::from(inputs[row * input_stride + k]) * i32::from(weight)
                    });
                    let start = if accumulate || column >= PANEL { before[at] } else { 0 };
                    let sum = if column < PANEL { products.sum() } else { 0 };
                    assert_eq!(found, start + sum, "{rows} rows, {steps} steps, at {at}");
                }
            }
        }
    });
}

/// Adds 32 inputs at a time, their even elements and their odd ones apart.
fn expected(inputs: &[bf16], weights: impl Fn(usize) -> bf16, start: f32) -> f32 {
    let mut sum = start;
    for first in (0..inputs.len()).step_by(2 * GROUPS) {
        let mut parts = [0f32; 2];
        for k in first..inputs.len().min(first + 2 * GROUPS) {
            parts[k % 2] += widen(inputs[k]) * widen(weights(k));
        }
        sum += parts[0] + parts[1];
    }
    sum
}

#[test]
fn bf16_matches_a_naive_loop_bit_for_bit() {
    trap::with_amx(|| {
        for (rows, steps) in SIZES {
            for accumulate in [false, true] {
                let depth = 2 * steps;
                let (inputs, weights, before) = operands(rows, depth);
                let [inputs, weights]: [Vec<bf16>; 2] =
                    [inputs, weights].map(|values| values.into_iter().map(narrow).collect());
                let mut found = before.clone();
                product(
                    (rows, steps, 2),
                    (&inputs, &weights),
                    (&mut found, accumulate),
                    // SAFETY: the instructions work here.
                    |operands| unsafe { AmxBf16::multiply(operands) },
                );
                let (stride, input_stride) = (PANEL + 3, depth + 7);
                for (at, &found) in found.iter().enumerate() {
                    let (row, column) = (at / stride, at % stride);
                    if column >= PANEL {
                        assert_eq!(found, before[at], "a value between the rows was overwritten");
                        continue;
                    }
                    let weight = |k: usize| weights[(k / 2 * PANEL + column) * 2 + k % 2];
                    let start = if accumulate { before[at] } else { 0.0 };
                    let expected = expected(&inputs[row * input_stride..][..depth], weight, start);
                    assert_eq!(
                        found.to_bits(),
                        expected.to_bits(),
                        "{rows} rows, {steps} steps, at {at}"
                    );
                }
            }
        }
    });
}
