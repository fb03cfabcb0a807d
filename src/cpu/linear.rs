//! Linear layers over packed weights: the loops around the tile, written once.

use std::ops::Range;

use super::activation::{gelu, relu};
use super::aligned::AlignedVec;
use super::isa::{Isa, Kernel, MAX_PANEL, multiply};
use super::threads::{Parts, for_each_task};
use super::weight::Weight;
use crate::model::{Linear, Matrix, OutOfRange};

/// Multiply-accumulates that make a task worth handing to a thread: some 5 µs.
const TASK_WORK: usize = 256 * 1024;

/// The most rows that are multiplied by a panel before the next panel's turn. The part of their
/// inputs that is in use (192 rows by 256 values, 192 KiB) should stay in L2 while the weights pass.
const BLOCK_ROWS: usize = 192;

/// A weight matrix in the order in which tiles read it: panels of `width` outputs, each with one
/// step of `width` values per input. Outputs past the last are zero.
pub(crate) struct PackedMatrix<W> {
    panels: AlignedVec<W>,
    width: usize,
    inputs: usize,
    outputs: usize,
}

impl<W: Weight> PackedMatrix<W> {
    /// Packs a matrix, whose weights must be in `W`'s range.
    pub fn pack<I: Isa>(_: I, matrix: Matrix) -> Result<Self, OutOfRange> {
        let Matrix { outputs, inputs, values } = matrix;
        if let Some(index) = W::out_of_range(&values) {
            return Err(OutOfRange { index, found: values[index] });
        }
        let mut panels = AlignedVec::zeroed(outputs.div_ceil(I::PANEL) * I::PANEL * inputs);
        for (panel, rows) in
            panels.chunks_mut(I::PANEL * inputs).zip(values.chunks(I::PANEL * inputs))
        {
            transpose_into(panel, I::PANEL, rows, inputs);
        }
        Ok(Self { panels, width: I::PANEL, inputs, outputs })
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The panel of this index and all that follow.
    fn panels_from(&self, index: usize) -> &[W] {
        &self.panels[index * self.width * self.inputs..]
    }
}

/// Writes `rows`, of `inputs` values each, as columns of a panel.
fn transpose_into<W: Weight>(panel: &mut [W], width: usize, rows: &[f32], inputs: usize) {
    for (column, row) in rows.chunks(inputs).enumerate() {
        for (step, &value) in panel.chunks_mut(width).zip(row) {
            step[column] = W::from_f32(value);
        }
    }
}

/// What happens to a product before it is stored. All add the bias first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epilogue {
    Bias,
    BiasGelu,
    BiasRelu,
    /// Adds what the output held before.
    BiasResidual,
}

/// Rows of a row-major buffer, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub values: &'a [f32],
    pub stride: usize,
    pub count: usize,
}

/// As many rows as begin in `values`, `stride` apart.
pub(crate) fn rows(values: &[f32], stride: usize) -> Rows<'_> {
    Rows { values, stride, count: values.len().div_ceil(stride) }
}

/// One linear layer over some rows.
pub(crate) struct Product<'a, W> {
    pub input: Rows<'a>,
    pub linear: &'a Linear<PackedMatrix<W>>,
    /// The outputs to compute; the others keep what they hold.
    pub outputs: Range<usize>,
    pub epilogue: Epilogue,
}

impl<W: Weight> Product<'_, W> {
    /// Computes into `output`, whose rows are `output_stride` apart and hold output `j` at column `j`.
    pub fn run<I: Isa, T: Send>(
        self,
        isa: I,
        workers: &mut [T],
        output: &mut [f32],
        output_stride: usize,
    ) {
        assert!(self.outputs.end <= output_stride, "the rows of the output overlap");
        let weight = &self.linear.weight;
        let panels = self.outputs.start / I::PANEL..self.outputs.end.div_ceil(I::PANEL);
        // Blocks of nearly the same size, in whole tiles.
        let count = self.input.count;
        let block_rows = count.div_ceil(count.div_ceil(BLOCK_ROWS)).next_multiple_of(I::TILE_ROWS);
        let blocks = count.div_ceil(block_rows);
        let panel_work = block_rows.min(count) * weight.inputs * I::PANEL;
        let group = TASK_WORK.div_ceil(panel_work).min(panels.len().div_ceil(workers.len())).max(1);
        let groups = panels.len().div_ceil(group);
        let output = Parts::new(output);
        for_each_task(workers, blocks * groups, |_, task| {
            let (block, first_panel) = (task / groups, panels.start + task % groups * group);
            isa.run(Block {
                product: &self,
                rows: block * block_rows..count.min((block + 1) * block_rows),
                panels: first_panel..panels.end.min(first_panel + group),
                output: &output,
                output_stride,
            });
        });
    }
}

/// A task: some rows by some panels.
struct Block<'a, W> {
    product: &'a Product<'a, W>,
    rows: Range<usize>,
    panels: Range<usize>,
    output: &'a Parts<'a>,
    output_stride: usize,
}

impl<W: Weight> Kernel for Block<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Product { input, linear, outputs, epilogue } = self.product;
        let weight = &linear.weight;
        let first_row = &input.values[self.rows.start * input.stride..];
        let mut sums = [0.0; BLOCK_ROWS * MAX_PANEL];
        let mut buffer = W::Buffer::default();
        for panel in self.panels {
            let panel_columns = panel * I::PANEL..weight.outputs.min((panel + 1) * I::PANEL);
            let columns =
                panel_columns.start.max(outputs.start)..panel_columns.end.min(outputs.end);
            let skipped = columns.start - panel_columns.start;
            let bias = &linear.bias[columns.clone()];
            multiply(
                isa,
                (first_row, input.stride),
                (self.rows.len(), weight.inputs),
                (weight.panels_from(panel), &mut buffer),
                (&mut sums, I::PANEL),
            );
            for (row, sums) in self.rows.clone().zip(sums.chunks_exact(I::PANEL)) {
                let start = row * self.output_stride;
                // SAFETY: tasks share no pair of a row and a panel, so no two of these parts
                // overlap: rows are `output_stride` apart, which `run` has checked to be no less than
                // the columns.
                let output =
                    unsafe { self.output.part(start + columns.start..start + columns.end) };
                finish(isa, *epilogue, &sums[skipped..], bias, output);
            }
        }
    }
}

/// Applies the epilogue to one row of a panel. A panel that is cut short goes through buffers of
/// full width, so that every output sees the same instructions.
#[inline(always)]
fn finish<I: Isa>(isa: I, epilogue: Epilogue, sums: &[f32], bias: &[f32], output: &mut [f32]) {
    if output.len() == I::PANEL {
        finish_panel(isa, epilogue, sums, bias, output);
        return;
    }
    let len = output.len();
    let [mut whole_sums, mut whole_bias, mut whole_output] = [[0.0; MAX_PANEL]; 3];
    whole_sums[..len].copy_from_slice(&sums[..len]);
    whole_bias[..len].copy_from_slice(bias);
    whole_output[..len].copy_from_slice(output);
    finish_panel(isa, epilogue, &whole_sums, &whole_bias, &mut whole_output[..I::PANEL]);
    output.copy_from_slice(&whole_output[..len]);
}

#[inline(always)]
fn finish_panel<I: Isa>(
    isa: I,
    epilogue: Epilogue,
    sums: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    for at in (0..I::PANEL).step_by(I::LANES) {
        let sum = isa.add(isa.load(&sums[at..]), isa.load(&bias[at..]));
        let value = match epilogue {
            Epilogue::Bias => sum,
            Epilogue::BiasGelu => gelu(isa, sum),
            Epilogue::BiasRelu => relu(isa, sum),
            Epilogue::BiasResidual => isa.add(sum, isa.load(&output[at..])),
        };
        isa.store(value, &mut output[at..]);
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::cpu::isa::on_every_set;
    use crate::cpu::threads::Threads;
    use crate::testing::{assert_close, random};

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
        type Output = [Vec<f32>; 2];

        /// Checks every type of weight and returns their outputs.
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            [self.with_weights::<I, f32>(isa), self.with_weights::<I, f16>(isa)]
        }
    }

    impl Case<'_> {
        /// Compares with a naive float64 loop and returns the output.
        fn with_weights<I: Isa, W: Weight>(self, isa: I) -> Vec<f32> {
            let (inputs, outputs) = (self.inputs, self.outputs);
            let (input_stride, output_stride) = (inputs + 1, outputs + 2);
            // Rounded to the weights' type, so that the loop sees what the kernel sees.
            let round = |value: f32| W::to_f32(W::from_f32(value));
            let values: Vec<f32> = random(1, outputs * inputs).into_iter().map(round).collect();
            let bias = random(2, outputs);
            let input = random(3, self.rows * input_stride);
            let before = random(4, self.rows * output_stride);
            let mut output = before.clone();
            let matrix = Matrix { outputs, inputs, values: values.clone() };
            let linear = Linear {
                weight: PackedMatrix::<W>::pack(isa, matrix).unwrap(),
                bias: bias.clone(),
            };
            let product = Product {
                input: Rows { values: &input, stride: input_stride, count: self.rows },
                linear: &linear,
                outputs: self.columns.0..self.columns.1,
                epilogue: self.epilogue,
            };
            let mut workers = vec![(); self.threads.count()];
            self.threads.install(|| product.run(isa, &mut workers, &mut output, output_stride));
            for (index, &found) in output.iter().enumerate() {
                let (row, column) = (index / output_stride, index % output_stride);
                let held = f64::from(before[index]);
                if !(self.columns.0..self.columns.1).contains(&column) {
                    assert_eq!(f64::from(found), held, "a column that was not asked for changed");
                    continue;
                }
                let product: f64 = (0..inputs)
                    .map(|k| {
                        f64::from(input[row * input_stride + k])
                            * f64::from(values[column * inputs + k])
                    })
                    .sum();
                let sum = product + f64::from(bias[column]);
                let expected = match self.epilogue {
                    Epilogue::Bias => sum,
                    Epilogue::BiasGelu => sum * 0.5 * (1.0 + libm::erf(sum / 2f64.sqrt())),
                    Epilogue::BiasRelu => sum.max(0.0),
                    Epilogue::BiasResidual => sum + held,
                };
                assert_close(found, expected, 2e-6 * (1.0 + (inputs as f64).sqrt()));
            }
            output
        }
    }

    const EPILOGUES: [Epilogue; 4] =
        [Epilogue::Bias, Epilogue::BiasGelu, Epilogue::BiasRelu, Epilogue::BiasResidual];

    #[test]
    fn products_of_every_size_match_float64() {
        let threads = Threads::new(2).unwrap();
        for rows in [1, 2, 5, 6, 7, 12, 13, 47, 49, 95, 96, 97, 193] {
            for (inputs, outputs) in
                [(1, 1), (5, 7), (16, 16), (33, 17), (48, 144), (100, 31), (768, 40)]
            {
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
            for rows in [1, 3, 6, 8, 50, 97] {
                for threads in 1..=3 {
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
