//! Linear layers over packed weights: the product, its epilogue, and their tasks.

use std::ops::Range;

use crate::cpu::executor::Executor;
use crate::cpu::gemm::block::multiply_panel;
use crate::cpu::gemm::epilogue::{ActivationValue, Epilogue};
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::gemm::weight::{FloatWeight, Weight};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::parallel::disjoint::{Optional, Split};
use crate::cpu::parallel::tiles::{ColumnBlocks, RowBlocks, Tile, Tiles};
use crate::cpu::simd::{Isa, Kernel, MAX_LANES, prefetch};
use crate::model::weights::Linear;

/// Multiply-accumulates that make a task worth handing to a thread: about 5 µs.
const TASK_WORK: usize = 256 * 1024;

/// Maximum number of rows that a panel multiplies before the next panel. The part of their inputs that is in use (192
/// rows by 256 values, 192 KiB) should stay in L2 while the weights pass.
const BLOCK_ROWS: usize = 192;

/// Maximum number of rows of a task of a grouped product: heads alone are few tasks for many threads.
const GROUPED_ROWS: usize = 48;

/// Working memory of linear layers.
#[derive(Default)]
pub(crate) struct LinearScratch<W: Weight> {
    /// The input as it is multiplied.
    converted: W::Converted,
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
        let LinearScratch { converted, sums } = scratch;
        let input = W::convert_rows(executor, input, weight.inputs(), converted);
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
            let (bias, origin) = (Some(&linear.bias[..]), 0);
            isa.dispatch(Block { input, weight, bias, origin, epilogue, sums, output, saved });
        });
    }
}

/// Some outputs of a linear layer in equal groups, each with input columns of its own: group `g` multiplies the weight's
/// depth of columns from column `g · depth` on.
pub(crate) struct GroupedProduct<'a, W: Weight> {
    pub input: Rows<'a>,
    pub weight: &'a PackedMatrix<W>,
    /// Bias of all outputs of the weight, if there is any.
    pub bias: Option<&'a [f32]>,
    /// Outputs of all groups.
    pub outputs: Range<usize>,
    pub groups: usize,
}

impl<W: FloatWeight> GroupedProduct<'_, W> {
    /// Writes the first of the outputs of each row to the first column of `output`, whose rows are as long as there are
    /// outputs.
    pub fn multiply(
        self,
        executor: &mut Executor<'_>,
        scratch: &mut LinearScratch<W>,
        output: &mut [f32],
    ) {
        let Self { input, weight, bias, outputs, groups } = self;
        let (isa, depth, origin) = (executor.isa, weight.inputs(), outputs.start);
        let panel = isa.shape().panel;
        let count = input.count;
        let block = count.div_ceil(count.div_ceil(GROUPED_ROWS));
        let sums = &mut scratch.sums;
        sums.iter_mut().for_each(|sums| sums.resize(block * panel));
        let rows = RowBlocks::Even { rows: count, block };
        let columns = ColumnBlocks::even(groups, outputs.len() / groups);
        let output = Tiles::new((output, outputs.len()), rows, columns);
        executor.leader.for_each_with(sums, output, |sums, task, output| {
            let values = &input.values[task % groups * depth..];
            let input = Rows { values, ..input };
            let (epilogue, saved) = (Epilogue::Bias, None);
            isa.dispatch(Block { input, weight, bias, origin, epilogue, sums, output, saved });
        });
    }
}

/// A task: some rows by some panels.
struct Block<'a, 'b, W: Weight> {
    input: W::Rows<'b>,
    weight: &'a PackedMatrix<W>,
    bias: Option<&'a [f32]>,
    /// The weight's output in column 0 of `output`.
    origin: usize,
    epilogue: Epilogue,
    sums: &'a mut [W::Sum],
    output: Tile<'a>,
    saved: Option<(ActivationValue, Tile<'a>)>,
}

impl<W: Weight> Kernel for Block<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let outputs = self.outputs();
        for panel in outputs.start / I::PANEL..outputs.end.div_ceil(I::PANEL) {
            self.multiply(isa, panel);
            // A separate loop for each, in which the variant is constant.
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
    /// Returns the weight's outputs that the task computes.
    fn outputs(&self) -> Range<usize> {
        let Range { start, end } = self.output.columns();
        start + self.origin..end + self.origin
    }

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
        let first_column = self.outputs().start.max(panel * I::PANEL) - self.origin;
        let Self { input, weight, sums, output, saved, .. } = self;
        let first_row = output.rows().start;
        multiply_panel(
            isa,
            W::inputs(input, first_row),
            (output.rows().len(), weight.depth()),
            weight.panels_from(panel),
            (sums, I::PANEL),
            |rows| {
                // The rows of the output are far apart and seldom in a cache. Prefetching them here gains 4% at 512
                // tokens.
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

    /// Turns the sums of a panel into outputs, a vector of columns at a time, so that the columns' data stays in
    /// registers for all rows.
    #[inline(always)]
    fn finish<I: Isa>(
        &mut self,
        isa: I,
        panel: usize,
        epilogue: Epilogue,
        save: Option<ActivationValue>,
    ) {
        let all = self.outputs();
        let Self { input, weight, bias, origin, sums, output, saved, .. } = self;
        for first in (0..I::PANEL).step_by(I::LANES) {
            let columns = panel * I::PANEL + first..panel * I::PANEL + first + I::LANES;
            let wanted = all.start.max(columns.start)..all.end.min(columns.end);
            if wanted.is_empty() {
                continue;
            }
            // Where some lanes are not wanted, all pass through a buffer of full width, so that every output sees the
            // same instructions.
            let lanes = wanted.start - columns.start..wanted.end - columns.start;
            let bias = match bias {
                Some(bias) => load_lanes(isa, &bias[wanted.clone()], &lanes),
                None => isa.splat(0.0),
            };
            let scales = W::scales(isa, weight.columns(), columns.start);
            let wanted = wanted.start - *origin..wanted.end - *origin;
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

/// Returns a vector with `values` in the given lanes. They are copied at once, unlike a row's tail in
/// [`lanes`](crate::cpu::simd::lanes): copied one by one, they made a pass in int8 1% slower.
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
mod tests;
