//! Linear layers against a naive float64 loop, on every instruction set.

use half::{bf16, f16};

use super::*;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::{InstructionSet, SelectedIsa, on_every_isa};
use crate::model::matrix::Matrix;
use crate::quantization::{LARGEST_WEIGHT, quantize_row};
use crate::testing::{assert_close, random, sizes};

#[derive(Clone, Copy)]
struct Case<'a> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    columns: (usize, usize),
    epilogue: Epilogue,
    threads: &'a Threads,
}

/// Calls `check` with the outputs of every type of weight on every instruction set.
fn on_every_set(case: Case<'_>, mut check: impl FnMut(InstructionSet, [Vec<f32>; 4])) {
    on_every_isa(|set, isa| check(set, case.eval(isa)));
}

impl Case<'_> {
    /// Checks every type of weight and returns their outputs. The naive loop reads the operands as rounded by the type.
    fn eval(self, isa: SelectedIsa) -> [Vec<f32>; 4] {
        let whole = |values: &[f32], _: usize| values.to_vec();
        let halves = |values: &[f32], _: usize| {
            values.iter().map(|&value| f16::from_f32(value).to_f32()).collect()
        };
        let rounded = |values: &[f32], _: usize| -> Vec<f32> {
            values.iter().map(|&value| bf16::from_f32(value).to_f32()).collect()
        };
        let int8_weights = |values: &[f32], inputs: usize| {
            let mut weights = vec![0; inputs];
            let round = |row: &[f32]| {
                let scale = quantize_row(row, LARGEST_WEIGHT, &mut weights);
                weights.iter().map(|&weight| f32::from(weight) * scale).collect::<Vec<_>>()
            };
            values.chunks(inputs).flat_map(round).collect()
        };
        [
            self.with_weights::<f32>(isa, whole, whole),
            self.with_weights::<f16>(isa, halves, whole),
            self.with_weights::<bf16>(isa, rounded, rounded),
            self.with_weights::<i8>(isa, int8_weights, int8_inputs),
        ]
    }

    /// Applies the epilogue to a sum that includes the bias.
    fn activated(&self, sum: f64, previous: f64) -> f64 {
        match self.epilogue {
            Epilogue::Bias => sum,
            Epilogue::BiasGelu => sum * 0.5 * (1.0 + libm::erf(sum / 2f64.sqrt())),
            Epilogue::BiasRelu => sum.max(0.0),
            Epilogue::BiasResidual => sum + previous,
            Epilogue::BiasTimes => sum * previous,
        }
    }

    /// Compares with a naive float64 loop and returns the output.
    fn with_weights<W: Weight>(
        self,
        isa: SelectedIsa,
        round_weights: impl Fn(&[f32], usize) -> Vec<f32>,
        round_inputs: impl Fn(&[f32], usize) -> Vec<f32>,
    ) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let (input_stride, output_stride) = (inputs + 1, outputs + 2);
        let values = random(1, outputs * inputs);
        let weights = round_weights(&values, inputs);
        let bias = random(2, outputs);
        let input = random(3, self.rows * input_stride);
        let before = random(4, self.rows * output_stride);
        let mut output = before.clone();
        let matrix = Matrix::from_values(outputs, inputs, values);
        let linear = Linear {
            weight: self.threads.run(|leader| {
                PackedMatrix::<W>::pack(&mut Executor { isa, leader }, &matrix).unwrap()
            }),
            bias: bias.clone(),
        };
        let product = Product {
            input: Rows { values: &input, stride: input_stride, count: self.rows },
            linear: &linear,
            outputs: self.columns.0..self.columns.1,
            epilogue: self.epilogue,
        };
        let mut scratch = LinearScratch::default();
        scratch.resize(self.threads.count());
        self.threads.run(|leader| {
            let output = (&mut output[..], output_stride);
            product.multiply(&mut Executor { isa, leader }, &mut scratch, output);
        });
        let input: Vec<f32> = input
            .chunks(input_stride)
            .flat_map(|row| round_inputs(&row[..inputs], inputs))
            .collect();
        for (index, &found) in output.iter().enumerate() {
            let (row, column) = (index / output_stride, index % output_stride);
            let previous = f64::from(before[index]);
            if !(self.columns.0..self.columns.1).contains(&column) {
                assert_eq!(f64::from(found), previous, "a column outside the range changed");
                continue;
            }
            let product: f64 = (0..inputs)
                .map(|k| {
                    f64::from(input[row * inputs + k]) * f64::from(weights[column * inputs + k])
                })
                .sum();
            let expected = self.activated(product + f64::from(bias[column]), previous);
            assert_close(found, expected, 2e-6 * (1.0 + (inputs as f64).sqrt()));
        }
        output
    }
}

/// Returns the values that a row's 8-bit rounding stands for.
fn int8_inputs(row: &[f32], _: usize) -> Vec<f32> {
    let least = row.iter().fold(0f32, |least, &value| least.min(value));
    let largest = row.iter().fold(0f32, |largest, &value| largest.max(value));
    let scale = (largest - least) / 255.0;
    let zero_point = (-least * (1.0 / scale)).round_ties_even();
    let round = |&value: &f32| {
        let quantized = (value * (1.0 / scale) + zero_point).round_ties_even();
        (quantized.clamp(0.0, 255.0) - zero_point) * scale
    };
    row.iter().map(round).collect()
}

const EPILOGUES: [Epilogue; 5] = [
    Epilogue::Bias,
    Epilogue::BiasGelu,
    Epilogue::BiasRelu,
    Epilogue::BiasResidual,
    Epilogue::BiasTimes,
];

#[test]
fn products_of_every_size_match_float64() {
    let threads = Threads::new(2).unwrap();
    let shapes = [(1, 1), (5, 7), (16, 16), (33, 17), (48, 144), (100, 31), (768, 40)];
    for rows in sizes([1, 2, 5, 6, 7, 12, 13, 47, 49, 95, 96, 97, 193], [1, 7, 49]) {
        for (inputs, outputs) in sizes(shapes, [(5, 7), (33, 49)]) {
            for epilogue in EPILOGUES {
                let case = Case {
                    rows,
                    inputs,
                    outputs,
                    columns: (0, outputs),
                    epilogue,
                    threads: &threads,
                };
                on_every_set(case, |_, _| ());
            }
        }
    }
}

#[test]
fn a_range_of_outputs_leaves_the_others_alone() {
    let threads = Threads::new(1).unwrap();
    for columns in [(0, 20), (20, 60), (16, 32), (59, 60), (5, 6), (7, 57)] {
        for epilogue in EPILOGUES {
            let case =
                Case { rows: 9, inputs: 20, outputs: 60, columns, epilogue, threads: &threads };
            on_every_set(case, |_, _| ());
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_in_any_batch_and_on_any_threads() {
    for epilogue in EPILOGUES {
        let mut first_rows = Vec::new();
        for rows in sizes([1, 3, 6, 8, 50, 97], [1, 20]) {
            for threads in sizes(1..=3, [1, 2]) {
                let threads = &Threads::new(threads).unwrap();
                let case =
                    Case { rows, inputs: 300, outputs: 45, columns: (0, 45), epilogue, threads };
                on_every_set(case, |set, outputs| {
                    first_rows.push((set, outputs.map(|output| output[..45].to_vec())));
                });
            }
        }
        for (set, row) in &first_rows {
            let first = first_rows.iter().find(|(other, _)| other == set).unwrap();
            assert_eq!(row, &first.1, "{set}");
        }
    }
}

/// A grouped product by a matrix, and one by the transpose of its groups.
struct Grouped {
    rows: usize,
    groups: usize,
    depth: usize,
    /// Outputs of a group.
    size: usize,
    /// Outputs before those of the groups.
    before: usize,
}

impl Grouped {
    fn multiply<W: FloatWeight>(
        &self,
        executor: &mut Executor<'_>,
        (weight, bias): (&PackedMatrix<W>, Option<&[f32]>),
        (input, depth): (&[f32], usize),
        outputs: Range<usize>,
    ) -> Vec<f32> {
        let mut output = vec![f32::NAN; self.rows * outputs.len()];
        let mut scratch = LinearScratch::default();
        scratch.resize(executor.leader.size());
        let input = Rows { values: input, stride: self.groups * depth + 1, count: self.rows };
        GroupedProduct { input, weight, bias, outputs, groups: self.groups }.multiply(
            executor,
            &mut scratch,
            &mut output,
        );
        output
    }

    /// Compares with naive float64 loops.
    fn check<W: FloatWeight>(&self, isa: SelectedIsa, threads: &Threads, round: fn(f32) -> f32) {
        let &Self { rows, groups, depth, size, before } = self;
        let outputs = before..before + groups * size;
        let values = random(1, outputs.end * depth);
        let matrix = Matrix::from_values(outputs.end, depth, values.clone());
        let weight = |output: usize, input: usize| f64::from(round(values[output * depth + input]));
        let bias = random(2, outputs.end);
        let input = random(3, rows * (groups * depth + 1));
        let gradient = random(4, rows * (groups * size + 1));
        threads.run(|leader| {
            let executor = &mut Executor { isa, leader };
            let packed = PackedMatrix::<W>::pack(executor, &matrix).unwrap();
            let transposed = packed.transposed_groups(executor, outputs.clone(), groups);
            let with_bias = (&packed, Some(&bias[..]));
            let found = self.multiply(executor, with_bias, (&input, depth), outputs.clone());
            for (index, &found) in found.iter().enumerate() {
                let (row, output) = (index / (groups * size), index % (groups * size));
                let input = &input[row * (groups * depth + 1) + output / size * depth..][..depth];
                let each = input.iter().enumerate();
                let sum: f64 = each.map(|(k, &x)| f64::from(x) * weight(before + output, k)).sum();
                let expected = sum + f64::from(bias[before + output]);
                assert_close(found, expected, 2e-6 * (1.0 + (depth as f64).sqrt()));
            }
            let of_inputs = 0..groups * depth;
            let found = self.multiply(executor, (&transposed, None), (&gradient, size), of_inputs);
            for (index, &found) in found.iter().enumerate() {
                let (row, input) = (index / (groups * depth), index % (groups * depth));
                let (group, input) = (input / depth, input % depth);
                let gradient = &gradient[row * (groups * size + 1) + group * size..][..size];
                let each = gradient.iter().enumerate();
                let expected: f64 = each
                    .map(|(j, &g)| f64::from(g) * weight(before + group * size + j, input))
                    .sum();
                assert_close(found, expected, 2e-6 * (1.0 + (size as f64).sqrt()));
            }
        });
    }
}

#[test]
fn grouped_products_match_float64() {
    let threads = Threads::new(2).unwrap();
    let shapes = [(1, 1, 1, 0), (2, 5, 3, 6), (3, 40, 17, 0), (2, 33, 16, 32), (4, 7, 64, 11)];
    for rows in sizes([1, 2, 7, 48, 49, 100], [1, 49]) {
        for (groups, depth, size, before) in sizes(shapes, [(2, 5, 3, 6), (2, 33, 16, 32)]) {
            let case = Grouped { rows, groups, depth, size, before };
            on_every_isa(|_, isa| {
                case.check::<f32>(isa, &threads, |weight| weight);
                case.check::<f16>(isa, &threads, |weight| f16::from_f32(weight).to_f32());
            });
        }
    }
}
