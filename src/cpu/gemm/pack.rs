//! Packed weight matrices.

use std::convert::Infallible;
use std::ops::Range;

use super::weight::{FloatWeight, Weight};
use crate::cpu::executor::Executor;
use crate::cpu::memory::pages::Pages;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::{Isa, Kernel, TileShape};
use crate::error;
use crate::model::matrix::Matrix;

/// A weight matrix in the order in which tiles read it: panels of `width` outputs, each with a step for every group
/// of inputs, in which each output has its group's weights side by side. Outputs and inputs past the last are zero.
pub(crate) struct PackedMatrix<W: Weight> {
    panels: Pages<W>,
    width: usize,
    /// Inputs, rounded up to whole groups.
    depth: usize,
    inputs: usize,
    outputs: usize,
    columns: W::Columns,
}

impl<W: Weight> PackedMatrix<W> {
    /// Packs a matrix, whose weights must be in `W`'s range.
    pub fn pack(executor: &mut Executor<'_>, matrix: &Matrix<'_>) -> error::Result<Self> {
        Self::from_rows(executor, matrix.outputs, matrix.inputs, |rows| {
            let mut reader = matrix.reader(rows);
            move |row, floats: &mut [f32], weights: &mut [W]| {
                W::read_row(&mut reader, row, floats, weights)
            }
        })
    }

    /// Packs rows of `inputs` weights. `open` is called with the rows of each panel and returns a function that writes
    /// one of them, given scratch space for a row of floats.
    fn from_rows<E: Send, R>(
        executor: &mut Executor<'_>,
        outputs: usize,
        inputs: usize,
        open: impl Fn(Range<usize>) -> R + Sync,
    ) -> Result<Self, E>
    where
        R: FnMut(usize, &mut [f32], &mut [W]) -> Result<W::Column, E>,
    {
        assert!(inputs <= W::MAX_INPUTS, "a layer has {inputs} inputs, more than loading allows");
        let isa = executor.isa;
        let shape = isa.shape();
        let width = shape.panel;
        let depth = inputs.next_multiple_of(W::group(shape));
        let columns = outputs.next_multiple_of(width);
        let mut panels = Pages::zeroed(columns.checked_mul(depth).expect("capacity overflow"));
        let mut column_data = vec![W::Column::default(); columns];
        let parts = (Chunks::new(&mut panels, width * depth), Chunks::new(&mut column_data, width));
        executor.leader.try_for_each(parts, |index, (panel, columns)| {
            let rows = index * width..outputs.min((index + 1) * width);
            let mut weights = vec![W::default(); width * depth];
            let mut floats = vec![0.0; inputs];
            let mut read = open(rows.clone());
            let each = rows.zip(weights.chunks_exact_mut(depth)).zip(columns);
            for ((row, weights), column) in each {
                *column = read(row, &mut floats, &mut weights[..inputs])?;
            }
            isa.dispatch(Interleave { panel, rows: &weights, depth });
            Ok(())
        })?;
        Ok(Self { panels, width, depth, inputs, outputs, columns: column_data.into() })
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of inputs, rounded up to whole groups.
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    pub fn columns(&self) -> &W::Columns {
        &self.columns
    }

    /// Returns the panel of this index and all that follow.
    pub fn panels_from(&self, index: usize) -> &[W] {
        &self.panels[index * self.width * self.depth..]
    }
}

impl<W: FloatWeight> PackedMatrix<W> {
    /// Packs the transpose of the rows of some outputs.
    #[cfg(feature = "explain")]
    pub fn transposed(&self, executor: &mut Executor<'_>, outputs: Range<usize>) -> Self {
        self.transposed_groups(executor, outputs, 1)
    }

    /// Packs the transpose of the rows of some outputs in groups: `groups` matrices of all inputs by a group's outputs,
    /// one below the other.
    ///
    /// # Panics
    /// If the groups differ in size.
    pub fn transposed_groups(
        &self,
        executor: &mut Executor<'_>,
        outputs: Range<usize>,
        groups: usize,
    ) -> Self {
        assert_eq!(outputs.len() % groups, 0, "the groups differ in size");
        let size = outputs.len() / groups;
        let read = |row: usize, _: &mut [f32], weights: &mut [W]| {
            let (group, input) = (row / self.inputs, row % self.inputs);
            let first = outputs.start + group * size;
            let mut output = first;
            while output < first + size {
                let (panel, column) = (output / self.width, output % self.width);
                let count = (self.width - column).min(first + size - output);
                let start = (panel * self.depth + input) * self.width + column;
                let to = &mut weights[output - first..][..count];
                to.copy_from_slice(&self.panels[start..start + count]);
                output += count;
            }
            Ok::<_, Infallible>(())
        };
        let Ok(transposed) = Self::from_rows(executor, groups * self.inputs, size, |_| read);
        transposed
    }
}

/// Inputs that are transposed before the next: those of 32 rows, and their columns, fit in L1.
const TRANSPOSED_INPUTS: usize = 64;

/// Writes `rows`, of `depth` values each, as columns of a panel.
struct Interleave<'a, W> {
    panel: &'a mut [W],
    rows: &'a [W],
    depth: usize,
}

impl<W: Weight> Kernel for Interleave<'_, W> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { panel, rows, depth } = self;
        let group_len = W::group(TileShape::of::<I>());
        for start in (0..depth).step_by(TRANSPOSED_INPUTS) {
            let part = start..depth.min(start + TRANSPOSED_INPUTS);
            let steps = &mut panel[start * I::PANEL..];
            for (column, row) in rows.chunks_exact(depth).enumerate() {
                let groups = row[part.clone()].chunks_exact(group_len);
                for (step, group) in steps.chunks_exact_mut(I::PANEL * group_len).zip(groups) {
                    step[column * group_len..][..group_len].copy_from_slice(group);
                }
            }
        }
    }
}
