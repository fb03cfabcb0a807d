//! Linear layers over packed weights: the product, its epilogue, and their tasks.

use std::ops::Range;

use crate::cpu::executor::Executor;
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::gemm::epilogue::{ActivationValue, Epilogue};
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::gemm::weight::Weight;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::quantize::QuantizedRows;
use crate::cpu::parallel::disjoint::{ColumnBlocks, Optional, RowBlocks, Split, Tile, Tiles};
use crate::cpu::simd::{Isa, Kernel, MAX_LANES, prefetch};
use crate::model::weights::Linear;

/// Multiply-accumulates that make a task worth handing to a thread: some 5 µs.
const TASK_WORK: usize = 256 * 1024;

/// Most rows that are multiplied by a panel before the next panel's turn. The part of their inputs that is in use
/// (192 rows by 256 values, 192 KiB) should stay in L2 while the weights pass.
const BLOCK_ROWS: usize = 192;

/// Memory that linear layers work in.
#[derive(Default)]
pub(crate) struct LinearScratch<W: Weight> {
    /// The input in 8 bits.
    quantized: QuantizedRows,
    /// Sums of a block of rows by one panel, for each thread.
    sums: Vec<AlignedVec<W::Sum>>,
}

impl<W: Weight> LinearScratch<W> {
    /// Makes room for a number of threads.
    pub fn resize(&mut self, threads: usize) {
        self.sums.resize_with(threads, AlignedVec::default);
    }
}

/// Buffer for the value of an activation that the backward pass needs, in rows like those of the output.
pub(crate) type SavedActivation<'a> = (ActivationValue, &'a mut [f32]);

/// One linear layer over some rows.
pub(crate) struct Product<'a, W: Weight> {
    pub input: Rows<'a>,
    pub linear: &'a Linear<PackedMatrix<W>>,
    /// Outputs to compute. The others are left as they are.
    pub outputs: Range<usize>,
    pub epilogue: Epilogue,
}

impl<'a, W: Weight> Product<'a, W> {
    /// Makes a product of all outputs with rows without gaps.
    pub fn dense(
        linear: &'a Linear<PackedMatrix<W>>,
        epilogue: Epilogue,
        input: &'a [f32],
    ) -> Self {
        let input = rows(input, linear.weight.inputs());
        Self { input, linear, outputs: 0..linear.weight.outputs(), epilogue }
    }

    /// Writes output `j` of each row to column `j` of `output`, whose rows are `stride` values apart.
    pub fn multiply(
        self,
        executor: &mut Executor<'_>,
        scratch: &mut LinearScratch<W>,
        output: (&mut [f32], usize),
    ) {
        self.multiply_and_save(executor, scratch, output, None);
    }

    /// Does the work of [`multiply`](Self::multiply), and stores a value of the activation in the epilogue.
    pub fn multiply_and_save(
        self,
        executor: &mut Executor<'_>,
        scratch: &mut LinearScratch<W>,
        (output, stride): (&mut [f32], usize),
        saved: Option<SavedActivation<'_>>,
    ) {
        let Self { input, linear, outputs, epilogue } = self;
        let (isa, weight) = (executor.isa, &linear.weight);
        let shape = isa.shape();
        // Blocks of nearly equal size, in whole tiles.
        let count = input.count;
        let block =
            count.div_ceil(count.div_ceil(BLOCK_ROWS)).next_multiple_of(W::tile_rows(shape));
        let panels = outputs.start / shape.panel..outputs.end.div_ceil(shape.panel);
        let panel_work = block.min(count) * weight.inputs() * shape.panel;
        let threads = executor.leader.size();
        let group = TASK_WORK.div_ceil(panel_work).min(panels.len().div_ceil(threads)).max(1);
        let columns = ColumnBlocks {
            range: outputs,
            origin: panels.start * shape.panel,
            width: group * shape.panel,
        };
        let LinearScratch { quantized, sums } = scratch;
        let input = W::convert_rows(executor, input, weight.inputs(), quantized);
        sums.iter_mut().for_each(|sums| sums.resize(block * shape.panel));
        let tiles = |values| {
            let rows = RowBlocks::Even { rows: count, block };
            Tiles::new((values, stride), rows, columns.clone())
        };
        let (value, saved) =
            saved.map_or((None, None), |(value, to)| (Some(value), Some(tiles(to))));
        let output = tiles(output);
        let saved = Optional::new(saved, output.parts());
        executor.leader.for_each_with(sums, (output, saved), |sums, _, (output, saved)| {
            let saved = value.zip(saved);
            isa.dispatch(Block { input, linear, epilogue, sums, output, saved });
        });
    }
}

/// A task: some rows by some panels.
struct Block<'a, 'b, W: Weight> {
    input: W::Rows<'b>,
    linear: &'a Linear<PackedMatrix<W>>,
    epilogue: Epilogue,
    sums: &'a mut [W::Sum],
    output: Tile<'a>,
    saved: Option<(ActivationValue, Tile<'a>)>,
}

impl<W: Weight> Kernel for Block<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let columns = self.output.columns();
        for panel in columns.start / I::PANEL..columns.end.div_ceil(I::PANEL) {
            self.multiply(isa, panel);
            // A loop for each, in which it is a constant.
            match self.epilogue {
                Epilogue::Bias => self.finish(isa, panel, Epilogue::Bias, None),
                Epilogue::BiasGelu => self.finish_activation(isa, panel, Epilogue::BiasGelu),
                Epilogue::BiasRelu => self.finish_activation(isa, panel, Epilogue::BiasRelu),
                Epilogue::BiasResidual => self.finish(isa, panel, Epilogue::BiasResidual, None),
                Epilogue::BiasTimes => self.finish(isa, panel, Epilogue::BiasTimes, None),
            }
        }
    }
}

impl<W: Weight> Block<'_, '_, W> {
    /// Calls [`finish`](Self::finish) in a loop for each saved value.
    #[inline(always)]
    fn finish_activation<I: Isa>(&mut self, isa: I, panel: usize, epilogue: Epilogue) {
        use ActivationValue::{Input, Quotient};
        match self.saved.as_ref().map(|(value, _)| *value) {
            None => self.finish(isa, panel, epilogue, None),
            Some(Input) => self.finish(isa, panel, epilogue, Some(Input)),
            Some(Quotient) => self.finish(isa, panel, epilogue, Some(Quotient)),
        }
    }

    /// Multiplies the rows by a panel into `sums`.
    #[inline(always)]
    fn multiply<I: Isa>(&mut self, isa: I, panel: usize) {
        let Self { input, linear, sums, output, saved, .. } = self;
        let (weight, first_row) = (&linear.weight, output.rows().start);
        let first_column = output.columns().start.max(panel * I::PANEL);
        multiply_panel(
            isa,
            W::inputs(input, first_row),
            (output.rows().len(), weight.depth()),
            weight.panels_from(panel),
            (sums, I::PANEL),
            |rows| {
                // The output is far apart and seldom in a cache. Prefetched here it is there in time, which is worth
                // 4 % at 512 tokens.
                for row in first_row + rows.start..first_row + rows.end {
                    let saved = saved.as_ref().map(|(_, saved)| saved.address(row, first_column));
                    for at in [Some(output.address(row, first_column)), saved].into_iter().flatten()
                    {
                        prefetch(at.cast(), I::PANEL * size_of::<f32>());
                    }
                }
            },
        );
    }

    /// Turns the sums of a panel into outputs, a vector of columns at a time, so that what belongs to the columns stays
    /// in registers while the rows pass by.
    #[inline(always)]
    fn finish<I: Isa>(
        &mut self,
        isa: I,
        panel: usize,
        epilogue: Epilogue,
        save: Option<ActivationValue>,
    ) {
        let Self { input, linear, sums, output, saved, .. } = self;
        let all = output.columns();
        for first in (0..I::PANEL).step_by(I::LANES) {
            let columns = panel * I::PANEL + first..panel * I::PANEL + first + I::LANES;
            let wanted = all.start.max(columns.start)..all.end.min(columns.end);
            if wanted.is_empty() {
                continue;
            }
            // Where some lanes are not wanted, all pass through a buffer of full width, so that every output sees the
            // same instructions.
            let lanes = wanted.start - columns.start..wanted.end - columns.start;
            let bias = load_lanes(isa, &linear.bias[wanted.clone()], &lanes);
            let scales = W::scales(isa, linear.weight.columns(), columns.start);
            for (row, sums) in output.rows().zip(sums.chunks_exact(I::PANEL)) {
                let product = W::value::<I>(isa, &sums[first..], *input, row, scales);
                let sum = isa.add(product, bias);
                let output = output.part(row, wanted.clone());
                let previous = load_lanes(isa, output, &lanes);
                let (value, of_activation) = epilogue.apply(isa, save, sum, previous);
                store_lanes(isa, value, output, &lanes);
                if let (Some(_), Some((_, saved))) = (save, &mut *saved) {
                    store_lanes(isa, of_activation, saved.part(row, wanted.clone()), &lanes);
                }
            }
        }
    }
}

/// A vector that has these values in these of its lanes. They are copied at once, unlike a row's tail in
/// [`lanes`](crate::cpu::simd::lanes): one by one, a pass in int8 took 1 % longer.
#[inline(always)]
fn load_lanes<I: Isa>(isa: I, values: &[f32], lanes: &Range<usize>) -> I::F32 {
    if values.len() == I::LANES {
        return isa.load(values);
    }
    let mut buffer = [0.0; MAX_LANES];
    buffer[lanes.clone()].copy_from_slice(values);
    isa.load(&buffer)
}

/// Stores some lanes of a vector.
#[inline(always)]
fn store_lanes<I: Isa>(isa: I, vector: I::F32, values: &mut [f32], lanes: &Range<usize>) {
    if values.len() == I::LANES {
        return isa.store(vector, values);
    }
    let mut buffer = [0.0; MAX_LANES];
    isa.store(vector, &mut buffer);
    values.copy_from_slice(&buffer[lanes.clone()]);
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::cpu::parallel::threads::Threads;
    use crate::cpu::simd::{InstructionSet, SelectedIsa, on_every_isa};
    use crate::model::matrix::{Matrix, Values};
    use crate::quantization::{LARGEST_WEIGHT, quantise_row};
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
    fn on_every_set(case: Case<'_>, mut check: impl FnMut(InstructionSet, [Vec<f32>; 3])) {
        on_every_isa(|set, isa| check(set, case.eval(isa)));
    }

    impl Case<'_> {
        /// Checks every type of weight and returns their outputs. The naive loop gets the operands as the type rounds
        /// them.
        fn eval(self, isa: SelectedIsa) -> [Vec<f32>; 3] {
            let whole = |values: &[f32], _: usize| values.to_vec();
            let halves = |values: &[f32], _: usize| {
                values.iter().map(|&value| f16::from_f32(value).to_f32()).collect()
            };
            let int8_weights = |values: &[f32], inputs: usize| {
                let mut weights = vec![0; inputs];
                let round = |row: &[f32]| {
                    let scale = quantise_row(row, LARGEST_WEIGHT, &mut weights);
                    weights.iter().map(|&weight| f32::from(weight) * scale).collect::<Vec<_>>()
                };
                values.chunks(inputs).flat_map(round).collect()
            };
            [
                self.with_weights::<f32>(isa, whole, whole),
                self.with_weights::<f16>(isa, halves, whole),
                self.with_weights::<i8>(isa, int8_weights, int8_inputs),
            ]
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
            let matrix = Matrix { outputs, inputs, parts: vec![Values::Computed(values)] };
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
                let held = f64::from(before[index]);
                if !(self.columns.0..self.columns.1).contains(&column) {
                    assert_eq!(f64::from(found), held, "a column that was not asked for changed");
                    continue;
                }
                let product: f64 = (0..inputs)
                    .map(|k| {
                        f64::from(input[row * inputs + k]) * f64::from(weights[column * inputs + k])
                    })
                    .sum();
                let sum = product + f64::from(bias[column]);
                let expected = match self.epilogue {
                    Epilogue::Bias => sum,
                    Epilogue::BiasGelu => sum * 0.5 * (1.0 + libm::erf(sum / 2f64.sqrt())),
                    Epilogue::BiasRelu => sum.max(0.0),
                    Epilogue::BiasResidual => sum + held,
                    Epilogue::BiasTimes => sum * held,
                };
                assert_close(found, expected, 2e-6 * (1.0 + (inputs as f64).sqrt()));
            }
            output
        }
    }

    /// A row as its 8 bits stand for it.
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
                    let case = Case {
                        rows,
                        inputs: 300,
                        outputs: 45,
                        columns: (0, 45),
                        epilogue,
                        threads,
                    };
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
}
