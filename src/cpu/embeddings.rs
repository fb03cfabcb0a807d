//! Word plus position embedding, normalised.

use super::isa::Isa;
use super::layer_norm::normalise_rows_with;
use super::pages::Pages;
use super::team::{Parts, Team};
use crate::error::Result;
use crate::model::matrix::{Matrix, RowReader};
use crate::model::weights::Embeddings;
use crate::quantization::{LARGEST_EMBEDDING, read_row};

/// Rows of a table that a task reads.
const TASK_ROWS: usize = 256;

/// A table of vectors.
pub(crate) trait Table: Sized + Send + Sync {
    fn from_matrix(team: &Team, matrix: Matrix<'_>) -> Result<Self>;

    /// Adds row `index` of the table to a vector.
    fn add_to(&self, index: usize, vector: &mut [f32]);
}

/// Reads all rows into `values` and their scales into `scales`, each with `read`, which gets a row of floats as
/// scratch space.
fn read_rows<T: Send>(
    team: &Team,
    matrix: &Matrix<'_>,
    values: &mut [T],
    scales: &mut [f32],
    read: impl Fn(&mut RowReader<'_>, usize, &mut [f32], &mut [T]) -> Result<f32> + Sync,
) -> Result<()> {
    let (values, scales) = (Parts::new(values), Parts::new(scales));
    let inputs = matrix.inputs;
    team.try_for_each(matrix.outputs.div_ceil(TASK_ROWS), |_, task| {
        let mut floats = vec![0.0; inputs];
        let rows = task * TASK_ROWS..matrix.outputs.min((task + 1) * TASK_ROWS);
        let mut reader = matrix.reader(rows.clone());
        for row in rows {
            // SAFETY: each task takes the parts of its own rows.
            let (values, scale) = unsafe {
                (values.part(row * inputs..(row + 1) * inputs), scales.part(row..row + 1))
            };
            scale[0] = read(&mut reader, row, &mut floats, values)?;
        }
        Ok(())
    })
}

/// Vectors in `f32`.
pub(crate) struct FloatTable(Pages<f32>);

impl Table for FloatTable {
    fn from_matrix(team: &Team, matrix: Matrix<'_>) -> Result<Self> {
        let mut values = Pages::zeroed(matrix.outputs * matrix.inputs);
        let (parts, inputs) = (Parts::new(&mut values), matrix.inputs);
        team.try_for_each(matrix.outputs.div_ceil(TASK_ROWS), |_, task| {
            let rows = task * TASK_ROWS..matrix.outputs.min((task + 1) * TASK_ROWS);
            // SAFETY: each task takes the parts of its own rows.
            let values = unsafe { parts.part(rows.start * inputs..rows.end * inputs) };
            matrix.read_rows(rows, values)
        })?;
        Ok(Self(values))
    }

    fn add_to(&self, index: usize, vector: &mut [f32]) {
        let row = &self.0[index * vector.len()..][..vector.len()];
        for (sum, value) in vector.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// Vectors in 8 bits, each with its scale.
pub(crate) struct Int8Table {
    values: Pages<i8>,
    scales: Vec<f32>,
}

impl Table for Int8Table {
    fn from_matrix(team: &Team, matrix: Matrix<'_>) -> Result<Self> {
        let mut values = Pages::zeroed(matrix.outputs * matrix.inputs);
        let mut scales = vec![0.0; matrix.outputs];
        read_rows(team, &matrix, &mut values, &mut scales, |reader, row, floats, to| {
            read_row(reader, row, LARGEST_EMBEDDING, floats, to)
        })?;
        Ok(Self { values, scales })
    }

    fn add_to(&self, index: usize, vector: &mut [f32]) {
        let row = &self.values[index * vector.len()..][..vector.len()];
        for (sum, &value) in vector.iter_mut().zip(row) {
            *sum += f32::from(value) * self.scales[index];
        }
    }
}

/// Writes the embedding of each token, a row of `dim` values, to `output`. The ids and positions are
/// within the tables.
pub(crate) fn embed<I: Isa, T: Table>(
    isa: I,
    team: &Team,
    embeddings: &Embeddings<T>,
    input_ids: &[u32],
    positions: &[u32],
    output: &mut [f32],
) {
    let sum = |token: usize, row: &mut [f32]| {
        row.fill(0.0);
        embeddings.word.add_to(input_ids[token] as usize, row);
        embeddings.position.add_to(positions[token] as usize, row);
    };
    normalise_rows_with(isa, team, &embeddings.layer_norm, output, sum, |_, _| ());
}
