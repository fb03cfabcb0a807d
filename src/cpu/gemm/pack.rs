//! Packed weight matrices.

use std::convert::Infallible;
use std::ops::Range;

use super::weight::{FloatWeight, Weight};
use crate::cpu::memory::pages::Pages;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::Isa;
use crate::model::matrix::{BadWeight, Matrix};

/// A weight matrix in the order in which tiles read it: panels of `width` outputs, each with a step
/// for every group of inputs, in which each output has its group's weights side by side. Outputs and
/// inputs past the last are zero.
pub(crate) struct PackedMatrix<W: Weight> {
    panels: Pages<W>,
    pub width: usize,
    /// Inputs, in whole groups.
    pub depth: usize,
    inputs: usize,
    outputs: usize,
    pub columns: W::Columns,
}

impl<W: Weight> PackedMatrix<W> {
    /// Packs a matrix, whose weights must be in `W`'s range.
    pub fn pack<I: Isa>(_: I, team: &Team, matrix: &Matrix<'_>) -> Result<Self, BadWeight> {
        Self::from_rows::<I, _>(team, matrix.outputs, matrix.inputs, |row, floats, weights| {
            W::read_row(matrix, row, floats, weights)
        })
    }

    /// Packs rows of `inputs` weights, each written by `read`, which gets room for as many floats.
    fn from_rows<I: Isa, E: Send>(
        team: &Team,
        outputs: usize,
        inputs: usize,
        read: impl Fn(usize, &mut [f32], &mut [W]) -> Result<W::Column, E> + Sync,
    ) -> Result<Self, E> {
        let depth = inputs.next_multiple_of(W::group::<I>());
        let columns = outputs.next_multiple_of(I::PANEL);
        let mut panels = Pages::zeroed(columns * depth);
        let mut column_data = vec![W::Column::default(); columns];
        let (parts, column_parts) = (Parts::new(&mut panels), Parts::new(&mut column_data));
        team.try_for_each(columns / I::PANEL, |_, panel| {
            let rows = panel * I::PANEL..outputs.min((panel + 1) * I::PANEL);
            let mut weights = vec![W::default(); I::PANEL * depth];
            let mut floats = vec![0.0; inputs];
            for (row, weights) in rows.clone().zip(weights.chunks_exact_mut(depth)) {
                // SAFETY: each task takes the parts of its own panel.
                let [column] = (unsafe { column_parts.part(row..row + 1) }) else { unreachable!() };
                *column = read(row, &mut floats, &mut weights[..inputs])?;
            }
            let size = I::PANEL * depth;
            // SAFETY: as above.
            let to = unsafe { parts.part(panel * size..(panel + 1) * size) };
            transpose_into::<I, W>(to, &weights, depth);
            Ok(())
        })?;
        let columns = column_data.into();
        Ok(Self { panels, width: I::PANEL, depth, inputs, outputs, columns })
    }

    /// The transpose of the rows of some outputs.
    pub fn transposed<I: Isa>(&self, _: I, team: &Team, outputs: Range<usize>) -> Self
    where
        W: FloatWeight,
    {
        let read = |input: usize, _: &mut [f32], weights: &mut [W]| {
            let mut output = outputs.start;
            while output < outputs.end {
                let (panel, column) = (output / self.width, output % self.width);
                let count = (self.width - column).min(outputs.end - output);
                let start = (panel * self.depth + input) * self.width + column;
                let to = &mut weights[output - outputs.start..][..count];
                to.copy_from_slice(&self.panels[start..start + count]);
                output += count;
            }
            Ok::<_, Infallible>(())
        };
        let Ok(transposed) = Self::from_rows::<I, _>(team, self.inputs, outputs.len(), read);
        transposed
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The panel of this index and all that follow.
    pub fn panels_from(&self, index: usize) -> &[W] {
        &self.panels[index * self.width * self.depth..]
    }
}

/// Inputs that are transposed before the next: those of 32 rows, and what they become, fit in L1.
const TRANSPOSED_INPUTS: usize = 64;

/// Writes `rows`, of `depth` values each, as columns of a panel.
fn transpose_into<I: Isa, W: Weight>(panel: &mut [W], rows: &[W], depth: usize) {
    let group_len = W::group::<I>();
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
