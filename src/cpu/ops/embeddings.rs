//! Word plus position embedding, normalized.

use super::layer_norm::{TASK_ROWS as EMBED_ROWS, layer_norm};
use crate::cpu::executor::Executor;
use crate::cpu::memory::pages::Pages;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::{Isa, Kernel};
use crate::error::Result;
use crate::input::batch::SubBatch;
use crate::model::matrix::{Matrix, RowReader};
use crate::model::weights::Embeddings;
use crate::quantization::{LARGEST_EMBEDDING, read_row};

/// Rows of a table that a task reads.
const TASK_ROWS: usize = 256;

/// A table of vectors.
pub(crate) trait Table: Sized + Send + Sync {
    /// Reads a table.
    fn from_matrix(executor: &mut Executor<'_>, matrix: Matrix<'_>) -> Result<Self>;

    /// Adds row `index` of the table to a vector.
    fn add_to(&self, index: usize, vector: &mut [f32]);
}

/// Reads all rows into `values` and `scales` with a function that takes the row, scratch for a row of floats, and the
/// row's place in `values`.
fn read_rows<T: Send>(
    executor: &mut Executor<'_>,
    matrix: &Matrix<'_>,
    (values, scales): (&mut [T], &mut [f32]),
    read: impl Fn(&mut RowReader<'_>, usize, &mut [f32], &mut [T]) -> Result<f32> + Sync,
) -> Result<()> {
    let inputs = matrix.inputs;
    let parts = (Chunks::new(values, TASK_ROWS * inputs), Chunks::new(scales, TASK_ROWS));
    executor.leader.try_for_each(parts, |task, (values, scales)| {
        let mut floats = vec![0.0; inputs];
        let first = task * TASK_ROWS;
        let mut reader = matrix.reader(first..first + scales.len());
        for (row, (values, scale)) in values.chunks_exact_mut(inputs).zip(scales).enumerate() {
            *scale = read(&mut reader, first + row, &mut floats, values)?;
        }
        Ok(())
    })
}

/// Returns the number of values of a table.
fn table_len(matrix: &Matrix<'_>) -> usize {
    matrix.outputs.checked_mul(matrix.inputs).expect("capacity overflow")
}

/// Vectors in `f32`.
pub(crate) struct FloatTable(Pages<f32>);

impl Table for FloatTable {
    fn from_matrix(executor: &mut Executor<'_>, matrix: Matrix<'_>) -> Result<Self> {
        let mut values = Pages::zeroed(table_len(&matrix));
        let parts = Chunks::new(&mut values, TASK_ROWS * matrix.inputs);
        executor.leader.try_for_each(parts, |task, values| {
            let first = task * TASK_ROWS;
            matrix.read_rows(first..first + values.len() / matrix.inputs, values)
        })?;
        Ok(Self(values))
    }

    #[inline(always)]
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
    fn from_matrix(executor: &mut Executor<'_>, matrix: Matrix<'_>) -> Result<Self> {
        let mut values = Pages::zeroed(table_len(&matrix));
        let mut scales = vec![0.0; matrix.outputs];
        read_rows(executor, &matrix, (&mut values, &mut scales), |reader, row, floats, to| {
            read_row(reader, row, LARGEST_EMBEDDING, floats, to)
        })?;
        Ok(Self { values, scales })
    }

    #[inline(always)]
    fn add_to(&self, index: usize, vector: &mut [f32]) {
        let row = &self.values[index * vector.len()..][..vector.len()];
        for (sum, &value) in vector.iter_mut().zip(row) {
            *sum += f32::from(value) * self.scales[index];
        }
    }
}

/// Writes the embedding of each token, a row of `dim` values, to `output`. The ids and positions are within the tables.
pub(crate) fn embed<T: Table>(
    executor: &mut Executor<'_>,
    embeddings: &Embeddings<T>,
    batch: &SubBatch<'_>,
    output: &mut [f32],
) {
    let (isa, dim) = (executor.isa, embeddings.layer_norm.weight.len());
    executor.leader.for_each(Chunks::new(output, EMBED_ROWS * dim), |task, rows| {
        let start = task * EMBED_ROWS;
        let (input_ids, positions) = (&batch.input_ids[start..], &batch.positions[start..]);
        isa.dispatch(EmbedRows { embeddings, input_ids, positions, rows });
    });
}

/// A task: the embeddings of some tokens.
struct EmbedRows<'a, T> {
    embeddings: &'a Embeddings<T>,
    input_ids: &'a [u32],
    positions: &'a [u32],
    rows: &'a mut [f32],
}

impl<T: Table> Kernel for EmbedRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { embeddings, input_ids, positions, rows } = self;
        let norm = &embeddings.layer_norm;
        let tokens = input_ids.iter().zip(positions);
        for (row, (&id, &position)) in rows.chunks_exact_mut(norm.weight.len()).zip(tokens) {
            row.fill(0.0);
            embeddings.word.add_to(id as usize, row);
            embeddings.position.add_to(position as usize, row);
            layer_norm(isa, norm, row);
        }
    }
}
