//! Word plus position embedding, normalised.

use super::isa::Isa;
use super::layer_norm::prepare_and_normalise_rows;
use super::threads::Team;
use crate::int8::{Int8Rows, LARGEST_EMBEDDING};
use crate::model::{Embeddings, Matrix, Values};

/// A table of vectors.
pub(crate) trait Table: Send + Sync {
    fn from_matrix(matrix: Matrix) -> Self;

    /// Adds row `index` of the table to a vector.
    fn add_to(&self, index: usize, vector: &mut [f32]);
}

/// Vectors in `f32`.
pub(crate) struct FloatTable(Vec<f32>);

impl Table for FloatTable {
    fn from_matrix(matrix: Matrix) -> Self {
        Self(matrix.values.into_floats())
    }

    fn add_to(&self, index: usize, vector: &mut [f32]) {
        let row = &self.0[index * vector.len()..][..vector.len()];
        for (sum, value) in vector.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// Vectors in 8 bits, each with its scale.
pub(crate) struct Int8Table(Int8Rows);

impl Table for Int8Table {
    fn from_matrix(matrix: Matrix) -> Self {
        Self(match matrix.values {
            Values::Floats(values) => Int8Rows::quantise(&values, matrix.inputs, LARGEST_EMBEDDING),
            Values::Int8(rows) => rows,
        })
    }

    fn add_to(&self, index: usize, vector: &mut [f32]) {
        let Int8Rows { values, scales } = &self.0;
        let row = &values[index * vector.len()..][..vector.len()];
        for (sum, &value) in vector.iter_mut().zip(row) {
            *sum += f32::from(value) * scales[index];
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
    prepare_and_normalise_rows(isa, team, &embeddings.layer_norm, output, |token, row| {
        row.fill(0.0);
        embeddings.word.add_to(input_ids[token] as usize, row);
        embeddings.position.add_to(positions[token] as usize, row);
    });
}
