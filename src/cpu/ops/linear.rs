//! Linear layers over packed weights: the loops around the tile, written once.

use std::ops::Range;

use crate::attribution::ActivationRule;
use crate::cpu::gemm::block::multiply;
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::weight::{Rows, Weight};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::quantize::QuantizedRows;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::{Isa, Kernel, MAX_LANES, prefetch};
use crate::model::weights::Linear;

/// Multiply-accumulates that make a task worth handing to a thread: some 5 µs.
const TASK_WORK: usize = 256 * 1024;

/// The most rows that are multiplied by a panel before the next panel's turn. The part of their
/// inputs that is in use (192 rows by 256 values, 192 KiB) should stay in L2 while the weights pass.
const BLOCK_ROWS: usize = 192;

/// What linear layers need besides their operands.
#[derive(Default)]
pub(crate) struct LinearScratch<W: Weight> {
    /// The input in 8 bits.
    quantized: QuantizedRows,
    /// The sums of a block of rows by one panel, for each thread.
    sums: Vec<AlignedVec<W::Sum>>,
}

impl<W: Weight> LinearScratch<W> {
    /// Makes room for so many threads.
    pub fn resize(&mut self, threads: usize) {
        self.sums.resize_with(threads, AlignedVec::default);
    }
}

/// One linear layer over some rows.
pub(crate) struct Product<'a, W: Weight> {
    pub input: Rows<'a>,
    pub linear: &'a Linear<PackedMatrix<W>>,
    /// The outputs to compute; the others keep what they hold.
    pub outputs: Range<usize>,
    pub epilogue: Epilogue,
}

impl<W: Weight> Product<'_, W> {
    /// Computes into `output`, whose rows are `output_stride` apart and hold output `j` at column `j`.
    pub fn run<I: Isa>(
        self,
        isa: I,
        team: &Team,
        scratch: &mut LinearScratch<W>,
        output: &mut [f32],
        output_stride: usize,
    ) {
        self.run_and_keep(isa, team, scratch, (output, output_stride), None);
    }

    /// The same, and what a rule keeps of the activation that the epilogue is can be written as well: its
    /// input, or the quotient of output and input, in rows like those of the output.
    pub fn run_and_keep<I: Isa>(
        self,
        isa: I,
        team: &Team,
        scratch: &mut LinearScratch<W>,
        (output, output_stride): (&mut [f32], usize),
        kept: Option<(ActivationRule, &mut [f32])>,
    ) {
        assert!(self.outputs.end <= output_stride, "the rows of the output overlap");
        let Self { input, linear, outputs, epilogue } = self;
        let weight = &linear.weight;
        let panels = outputs.start / I::PANEL..outputs.end.div_ceil(I::PANEL);
        // Blocks of nearly the same size, in whole tiles.
        let count = input.count;
        let block_rows =
            count.div_ceil(count.div_ceil(BLOCK_ROWS)).next_multiple_of(W::tile_rows::<I>());
        let blocks = count.div_ceil(block_rows);
        let panel_work = block_rows.min(count) * weight.inputs() * I::PANEL;
        let group = TASK_WORK.div_ceil(panel_work).min(panels.len().div_ceil(team.size())).max(1);
        let groups = panels.len().div_ceil(group);
        let LinearScratch { quantized, sums } = scratch;
        let input = W::from_rows(isa, team, input, weight.inputs(), quantized);
        sums.iter_mut().for_each(|sums| sums.resize(block_rows * I::PANEL));
        let (sums, output) = (Parts::new(sums), Parts::new(output));
        let kept = kept.map(|(rule, kept)| (rule, Parts::new(kept)));
        team.for_each(blocks * groups, |worker, task| {
            let (block, first_panel) = (task / groups, panels.start + task % groups * group);
            // SAFETY: a worker has one task at a time.
            let [sums] = (unsafe { sums.part(worker..worker + 1) }) else { unreachable!() };
            isa.run(Block {
                input,
                linear,
                outputs: outputs.clone(),
                epilogue,
                rows: block * block_rows..count.min((block + 1) * block_rows),
                panels: first_panel..panels.end.min(first_panel + group),
                sums,
                output: &output,
                kept: kept.as_ref(),
                output_stride,
            });
        });
    }
}

/// A task: some rows by some panels.
struct Block<'a, W: Weight> {
    input: W::Rows<'a>,
    linear: &'a Linear<PackedMatrix<W>>,
    outputs: Range<usize>,
    epilogue: Epilogue,
    rows: Range<usize>,
    panels: Range<usize>,
    sums: &'a mut [W::Sum],
    output: &'a Parts<'a>,
    kept: Option<&'a (ActivationRule, Parts<'a>)>,
    output_stride: usize,
}

impl<W: Weight> Kernel for Block<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        for panel in self.panels.clone() {
            self.multiply(isa, panel);
            // A loop for each, in which it is a constant.
            match self.epilogue {
                Epilogue::Bias => self.finish(isa, panel, Epilogue::Bias, None),
                Epilogue::BiasGelu => self.finish_and_keep(isa, panel, Epilogue::BiasGelu),
                Epilogue::BiasRelu => self.finish_and_keep(isa, panel, Epilogue::BiasRelu),
                Epilogue::BiasResidual => self.finish(isa, panel, Epilogue::BiasResidual, None),
                Epilogue::BiasTimes => self.finish(isa, panel, Epilogue::BiasTimes, None),
            }
        }
    }
}

impl<W: Weight> Block<'_, W> {
    /// A loop for each rule as well.
    #[inline(always)]
    fn finish_and_keep<I: Isa>(&self, isa: I, panel: usize, epilogue: Epilogue) {
        use ActivationRule::{Gradient, HoldQuotient};
        match self.kept.map(|(rule, _)| rule) {
            None => self.finish(isa, panel, epilogue, None),
            Some(Gradient) => self.finish(isa, panel, epilogue, Some(Gradient)),
            Some(HoldQuotient) => self.finish(isa, panel, epilogue, Some(HoldQuotient)),
        }
    }

    /// Multiplies the rows by a panel into `sums`.
    #[inline(always)]
    fn multiply<I: Isa>(&mut self, isa: I, panel: usize) {
        let weight = &self.linear.weight;
        let first_column = self.outputs.start.max(panel * I::PANEL);
        multiply(
            isa,
            W::inputs(&self.input, self.rows.start),
            (self.rows.len(), weight.depth),
            weight.panels_from(panel),
            (self.sums, I::PANEL),
            |rows| {
                // Where the results go is far apart and seldom in a cache: by the time they are ready it
                // is, which is worth 4 % at 512 tokens.
                for row in self.rows.start + rows.start..self.rows.start + rows.end {
                    let first = row * self.output_stride + first_column;
                    let kept = self.kept.map(|(_, kept)| kept.address(first));
                    for at in [Some(self.output.address(first)), kept].into_iter().flatten() {
                        prefetch(at.cast(), I::PANEL * size_of::<f32>());
                    }
                }
            },
        );
    }

    /// Makes the outputs of a panel of its sums.
    ///
    /// Vector by vector of columns, so that what belongs to them stays in registers while the rows pass by.
    #[inline(always)]
    fn finish<I: Isa>(
        &self,
        isa: I,
        panel: usize,
        epilogue: Epilogue,
        keep: Option<ActivationRule>,
    ) {
        let weight = &self.linear.weight;
        for first in (0..I::PANEL).step_by(I::LANES) {
            let columns = panel * I::PANEL + first..panel * I::PANEL + first + I::LANES;
            let wanted = self.outputs.start.max(columns.start)..self.outputs.end.min(columns.end);
            if wanted.is_empty() {
                continue;
            }
            // Where not all lanes are wanted, they pass through a buffer of full width, so that every
            // output sees the same instructions.
            let lanes = wanted.start - columns.start..wanted.end - columns.start;
            let bias = load_lanes(isa, &self.linear.bias[wanted.clone()], &lanes);
            let scales = W::scales(isa, &weight.columns, columns.start);
            for (row, sums) in self.rows.clone().zip(self.sums.chunks_exact(I::PANEL)) {
                let product = W::value::<I>(isa, &sums[first..], self.input, row, scales);
                let sum = isa.add(product, bias);
                let start = row * self.output_stride;
                let place = start + wanted.start..start + wanted.end;
                // SAFETY: tasks share no pair of a row and a panel, so no two of these parts
                // overlap: rows are `output_stride` apart, which `run` has checked to be no less than
                // the columns.
                let output = unsafe { self.output.part(place.clone()) };
                let held = load_lanes(isa, output, &lanes);
                let (value, of_activation) = epilogue.apply(isa, keep, sum, held);
                store_lanes(isa, value, output, &lanes);
                if let (Some(_), Some((_, kept))) = (keep, self.kept) {
                    // SAFETY: as for the output.
                    let kept = unsafe { kept.part(place) };
                    store_lanes(isa, of_activation, kept, &lanes);
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

/// Writes these lanes of a vector.
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
    use crate::cpu::simd::on_every_set;
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

    impl Kernel for Case<'_> {
        type Output = [Vec<f32>; 3];

        /// Checks every type of weight and returns their outputs. The naive loop gets the operands as
        /// the type rounds them.
        fn run<I: Isa>(self, isa: I) -> Self::Output {
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
                self.with_weights::<I, f32>(isa, whole, whole),
                self.with_weights::<I, f16>(isa, halves, whole),
                self.with_weights::<I, i8>(isa, int8_weights, int8_inputs),
            ]
        }
    }

    impl Case<'_> {
        /// Compares with a naive float64 loop and returns the output.
        fn with_weights<I: Isa, W: Weight>(
            self,
            isa: I,
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
                weight: self
                    .threads
                    .run(|team| PackedMatrix::<W>::pack(isa, team, &matrix).unwrap()),
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
            self.threads.run(|team| {
                product.run(isa, team, &mut scratch, &mut output, output_stride);
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
