//! Word plus position embedding, normalized.

use crate::cpu::memory::pages::Pages;
use crate::cpu::ops::layer_norm::normalize_rows_with;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::Isa;
use crate::model::matrix::{BadWeight, Matrix};
use crate::model::weights::Embeddings;
use crate::quantization::{LARGEST_EMBEDDING, read_row};

/// Rows of a table that a task reads.
const TASK_ROWS: usize = 256;

/// A table of vectors.
pub(crate) trait Table: Sized + Send + Sync {
    fn from_matrix(team: &Team, matrix: Matrix<'_>) -> Result<Self, BadWeight>;

    /// Adds row `index` of the table to a vector.
    fn add_to(&self, index: usize, vector: &mut [f32]);
}

/// Reads all rows, each with the function, which may use a row of floats, into `values` and `scales`.
fn read_rows<T: Send>(
    team: &Team,
    matrix: &Matrix<'_>,
    values: &mut [T],
    scales: &mut [f32],
    read: impl Fn(usize, &mut [f32], &mut [T]) -> Result<f32, BadWeight> + Sync,
) -> Result<(), BadWeight> {
    let (values, scales) = (Parts::new(values), Parts::new(scales));
    let inputs = matrix.inputs;
    team.try_for_each(matrix.outputs.div_ceil(TASK_ROWS), |_, task| {
        let mut floats = vec![0.0; inputs];
        for row in task * TASK_ROWS..matrix.outputs.min((task + 1) * TASK_ROWS) {
            // SAFETY: each task takes the parts of its own rows.
            let (values, scale) = unsafe {
                (values.part(row * inputs..(row + 1) * inputs), scales.part(row..row + 1))
            };
            scale[0] = read(row, &mut floats, values)?;
        }
        Ok(())
    })
}

/// Vectors in `f32`.
pub(crate) struct FloatTable(Pages<f32>);

impl Table for FloatTable {
    fn from_matrix(team: &Team, matrix: Matrix<'_>) -> Result<Self, BadWeight> {
        let mut values = Pages::zeroed(matrix.outputs * matrix.inputs);
        let mut scales = vec![0.0; matrix.outputs];
        read_rows(team, &matrix, &mut values, &mut scales, |row, _, to| {
            matrix.read_row(row, to).map(|()| 1.0)
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
    fn from_matrix(team: &Team, matrix: Matrix<'_>) -> Result<Self, BadWeight> {
        let mut values = Pages::zeroed(matrix.outputs * matrix.inputs);
        let mut scales = vec![0.0; matrix.outputs];
        read_rows(team, &matrix, &mut values, &mut scales, |row, floats, to| {
            read_row(&matrix, row, LARGEST_EMBEDDING, floats, to)
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
    normalize_rows_with(isa, team, &embeddings.layer_norm, output, sum, |_, _| ());
}
