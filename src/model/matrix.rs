//! Matrices as a checkpoint stores them, read row by row and widened to `f32`.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::error::{CheckpointError, Error, Result};
use crate::model::checkpoint::Region;

/// Bytes read at once: enough to make system calls cheap, and few enough to stay in L2 until they are
/// converted.
const READ_BLOCK: usize = 64 * 1024;

/// Halves widened at once: few enough that the intermediate copy stays in L1.
const WIDEN_BLOCK: usize = 2048;

/// Columns transposed at once, so that the rows of the result are written in contiguous runs.
const TRANSPOSE_BLOCK: usize = 32;

/// A weight matrix or an embedding table: `outputs` rows of `inputs` values.
pub(crate) struct Matrix<'a> {
    pub outputs: usize,
    pub inputs: usize,
    /// Tensors with the same number of rows, stacked vertically.
    parts: Vec<Values<'a>>,
}

/// Row-major values of a named tensor.
pub(crate) struct Values<'a> {
    /// Name of the tensor in the checkpoint.
    pub name: String,
    pub data: Data<'a>,
}

/// Location and type of values. Stored ones are little-endian.
pub(crate) enum Data<'a> {
    F32(Region<'a>),
    F16(Region<'a>),
    Bf16(Region<'a>),
    /// 8-bit integers with one scale per row.
    Int8 {
        region: Region<'a>,
        scales: Vec<f32>,
    },
    /// Values that were computed, or that could not be used in their stored order.
    Computed(Vec<f32>),
}

impl<'a> Matrix<'a> {
    /// Stacks tensors of `part_rows` rows each.
    pub fn stack(part_rows: usize, inputs: usize, parts: Vec<Values<'a>>) -> Self {
        Self { outputs: part_rows * parts.len(), inputs, parts }
    }

    /// Wraps row-major values.
    #[cfg(any(test, feature = "kernels", feature = "prune"))]
    pub fn from_values(outputs: usize, inputs: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), outputs * inputs, "one value per row and column");
        let name = String::new();
        Self::stack(outputs, inputs, vec![Values { name, data: Data::Computed(values) }])
    }

    /// Returns a reader of `rows`.
    pub fn reader(&self, rows: Range<usize>) -> RowReader<'_> {
        RowReader { matrix: self, end: rows.end, buffer: Vec::new(), buffered: 0..0 }
    }

    /// Reads rows as `f32`, straight into `to` if that is how they are stored.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] with the first value that is not finite; otherwise the errors of
    /// [`Region::read`].
    pub fn read_rows(&self, rows: Range<usize>, to: &mut [f32]) -> Result<()> {
        let mut reader = self.reader(rows.clone());
        let mut row = rows.start;
        let mut to = &mut to[..rows.len() * self.inputs];
        while row < rows.end {
            let (part, part_row) = self.part(row);
            let count = match part.data {
                Data::F32(_) => self.block(row, rows.end, size_of::<f32>()).len(),
                _ => 1,
            };
            let (values, rest) = to.split_at_mut(count * self.inputs);
            match part.data {
                Data::F32(region) => {
                    let start = part_row * self.inputs * size_of::<f32>();
                    region.read(&part.name, start, bytes_of(values))?;
                    values
                        .iter_mut()
                        .for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
                }
                _ => reader.load_row(row, values)?,
            }
            self.check_finite(row, values)?;
            (row, to) = (row + count, rest);
        }
        Ok(())
    }

    /// Returns the tensor that stores a row, and the row's index in it.
    fn part(&self, row: usize) -> (&Values<'a>, usize) {
        let part_rows = self.outputs / self.parts.len();
        (&self.parts[row / part_rows], row % part_rows)
    }

    /// Returns the rows from `row` on that are read together: at most a block, all before `end` and in the same
    /// tensor.
    fn block(&self, row: usize, end: usize, value_size: usize) -> Range<usize> {
        let part_end = row - self.part(row).1 + self.outputs / self.parts.len();
        let block_rows = (READ_BLOCK / (self.inputs * value_size).max(1)).max(1);
        row..end.min(part_end).min(row + block_rows)
    }

    /// Checks that all values are finite, or returns an error that names the first one that is not. The values start
    /// at row `row`.
    fn check_finite(&self, row: usize, values: &[f32]) -> Result<()> {
        // Without an early exit, so that the loop is vectorized.
        if values.iter().fold(true, |all, value| all & value.is_finite()) {
            return Ok(());
        }
        let index = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
        Err(self.bad_value(row, index, values[index]))
    }

    /// Returns the error for a value that is not finite or exceeds the precision's range. `index` is counted from the
    /// first value of row `row`.
    pub fn bad_value(&self, row: usize, index: usize, found: f32) -> Error {
        let (part, part_row) = self.part(row);
        let (name, index) = (part.name.clone(), part_row * self.inputs + index);
        if found.is_finite() {
            CheckpointError::OutOfRange { name, index, found }.into()
        } else {
            CheckpointError::NotFinite { name, index, found }.into()
        }
    }
}

/// Reader of a matrix's rows. It has its own buffer, so threads that use one each share nothing.
///
/// Rows can be read in any order; ascending order is the fastest.
pub(crate) struct RowReader<'a> {
    matrix: &'a Matrix<'a>,
    /// End of the rows to read, exclusive.
    end: usize,
    buffer: Vec<u8>,
    /// Rows whose bytes are in `buffer`.
    buffered: Range<usize>,
}

impl<'a> RowReader<'a> {
    pub fn matrix(&self) -> &'a Matrix<'a> {
        self.matrix
    }

    /// Reads a row as `f32`.
    ///
    /// # Errors
    /// Fails like [`Matrix::read_rows`].
    pub fn read_row(&mut self, row: usize, to: &mut [f32]) -> Result<()> {
        self.load_row(row, to)?;
        self.matrix.check_finite(row, to)
    }

    /// Reads a row as halves; `floats` is scratch space of the same length.
    ///
    /// # Errors
    /// [`CheckpointError::OutOfRange`] with the first value that is too large for a half; otherwise the errors of
    /// [`read_row`](Self::read_row).
    pub fn read_halves(&mut self, row: usize, floats: &mut [f32], to: &mut [f16]) -> Result<()> {
        self.read_row(row, floats)?;
        to.convert_from_f32_slice(floats);
        match to.iter().position(|half| half.is_infinite()) {
            None => Ok(()),
            Some(column) => Err(self.matrix.bad_value(row, column, floats[column])),
        }
    }

    /// Returns an 8-bit row with its scale, or `None` if the matrix is stored in another type.
    ///
    /// # Errors
    /// Fails like [`Region::read`].
    pub fn int8_row(&mut self, row: usize) -> Result<Option<(&[u8], f32)>> {
        let (part, part_row) = self.matrix.part(row);
        let Data::Int8 { region, scales } = &part.data else { return Ok(None) };
        let bytes = self.stored_row(row, *region, 1)?;
        Ok(Some((bytes, scales[part_row])))
    }

    /// Reads a row without checking its values.
    fn load_row(&mut self, row: usize, to: &mut [f32]) -> Result<()> {
        let (part, part_row) = self.matrix.part(row);
        let to = &mut to[..self.matrix.inputs];
        match &part.data {
            Data::F32(region) => {
                let values = self.stored_row(row, *region, 4)?.as_chunks().0;
                for (to, &bytes) in to.iter_mut().zip(values) {
                    *to = f32::from_le_bytes(bytes);
                }
            }
            Data::F16(region) => {
                let halves = self.stored_row(row, *region, 2)?.as_chunks().0;
                widen(halves, f16::from_le_bytes, |half, wide| half.convert_to_f32_slice(wide), to);
            }
            Data::Bf16(region) => {
                let halves = self.stored_row(row, *region, 2)?.as_chunks().0;
                widen(
                    halves,
                    bf16::from_le_bytes,
                    |half, wide| half.convert_to_f32_slice(wide),
                    to,
                );
            }
            Data::Int8 { region, scales } => {
                let scale = scales[part_row];
                for (to, &byte) in to.iter_mut().zip(self.stored_row(row, *region, 1)?) {
                    *to = f32::from(byte as i8) * scale;
                }
            }
            Data::Computed(values) => {
                to.copy_from_slice(&values[part_row * to.len()..][..to.len()]);
            }
        }
        Ok(())
    }

    /// Returns the bytes of a row, and buffers the rows that follow, up to a block.
    fn stored_row(&mut self, row: usize, region: Region<'_>, value_size: usize) -> Result<&[u8]> {
        let row_bytes = self.matrix.inputs * value_size;
        if !self.buffered.contains(&row) {
            let (part, part_row) = self.matrix.part(row);
            let block = self.matrix.block(row, self.end, value_size);
            // If the read fails, the buffer holds no rows.
            self.buffered = 0..0;
            self.buffer.resize(block.len() * row_bytes, 0);
            region.read(&part.name, part_row * row_bytes, &mut self.buffer)?;
            self.buffered = block;
        }
        Ok(&self.buffer[(row - self.buffered.start) * row_bytes..][..row_bytes])
    }
}

impl Values<'_> {
    /// Returns the transpose, a matrix of `rows` rows of `len` values, as `f32`.
    ///
    /// # Errors
    /// Fails like [`Region::read`]; values are not checked.
    pub fn transposed(self, rows: usize, len: usize) -> Result<Self> {
        let name = self.name.clone();
        let stored = Matrix::stack(len, rows, vec![self]);
        let mut reader = stored.reader(0..len);
        let mut block = vec![0.0; TRANSPOSE_BLOCK.min(len) * rows];
        let mut values = vec![0.0; rows * len];
        for start in (0..len).step_by(TRANSPOSE_BLOCK) {
            let columns = start..len.min(start + TRANSPOSE_BLOCK);
            let block = &mut block[..columns.len() * rows];
            for (column, to) in columns.clone().zip(block.chunks_exact_mut(rows)) {
                reader.load_row(column, to)?;
            }
            for row in 0..rows {
                let values = &mut values[row * len..][columns.clone()];
                for (value, column) in values.iter_mut().zip(block.chunks_exact(rows)) {
                    *value = column[row];
                }
            }
        }
        Ok(Values { name, data: Data::Computed(values) })
    }
}

/// Reinterprets floats as their bytes.
fn bytes_of(values: &mut [f32]) -> &mut [u8] {
    let len = size_of_val(values);
    // SAFETY: the bytes are exactly those of `values`, which stays mutably borrowed as long as they are. A byte
    // needs no alignment, and every bit pattern is a valid `f32`.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), len) }
}

/// Widens little-endian halves a block at a time with the `half` crate's vectorized conversion.
fn widen<H: Copy + Default>(
    halves: &[[u8; 2]],
    from_le_bytes: fn([u8; 2]) -> H,
    convert: impl Fn(&[H], &mut [f32]),
    to: &mut [f32],
) {
    let mut block = [H::default(); WIDEN_BLOCK];
    for (halves, wide) in halves.chunks(WIDEN_BLOCK).zip(to.chunks_mut(WIDEN_BLOCK)) {
        let block = &mut block[..halves.len()];
        for (half, &bytes) in block.iter_mut().zip(halves) {
            *half = from_le_bytes(bytes);
        }
        convert(block, wide);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::model::checkpoint::Source;

    const ROWS: usize = 40;
    const INPUTS: usize = 700;

    /// Returns the same values stored as `F32`, `F16`, `BF16` and `I8`, exactly in each.
    fn sources() -> [Source; 4] {
        let values = || (0..ROWS * INPUTS).map(|index| (index * 7 % 255) as f32 - 127.0);
        let source = |bytes: Vec<u8>| Source::from_bytes(Path::new("weights"), Arc::new(bytes));
        [
            source(values().flat_map(f32::to_le_bytes).collect()),
            source(values().flat_map(|value| f16::from_f32(value).to_le_bytes()).collect()),
            source(values().flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect()),
            source(values().map(|value| value as i8 as u8).collect()),
        ]
    }

    fn part(source: &Source, dtype: usize) -> Values<'_> {
        let region = Region { source, offset: 0, len: usize::try_from(source.len()).unwrap() };
        let data = match dtype {
            0 => Data::F32(region),
            1 => Data::F16(region),
            2 => Data::Bf16(region),
            _ => Data::Int8 { region, scales: vec![1.0; ROWS] },
        };
        Values { name: format!("part {dtype}"), data }
    }

    #[test]
    fn reads_rows_of_every_type_in_any_order() {
        let sources = sources();
        let parts = sources.iter().enumerate().map(|(dtype, source)| part(source, dtype));
        let matrix = Matrix::stack(ROWS, INPUTS, parts.collect());
        assert_eq!(matrix.outputs, 4 * ROWS);
        let expected = |row: usize| {
            let indices = row % ROWS * INPUTS..(row % ROWS + 1) * INPUTS;
            indices.map(|index| (index * 7 % 255) as f32 - 127.0).collect::<Vec<_>>()
        };
        let mut reader = matrix.reader(0..matrix.outputs);
        let mut row_values = vec![0.0; INPUTS];
        for row in (0..matrix.outputs).chain((0..matrix.outputs).rev().step_by(3)) {
            reader.read_row(row, &mut row_values).unwrap();
            assert_eq!(row_values, expected(row), "row {row}");
        }
        let rows = ROWS / 2..matrix.outputs - 1;
        let mut values = vec![0.0; rows.len() * INPUTS];
        matrix.read_rows(rows.clone(), &mut values).unwrap();
        assert_eq!(values, rows.flat_map(expected).collect::<Vec<_>>());
        let int8 = 3 * ROWS..4 * ROWS;
        assert!(
            (0..matrix.outputs)
                .all(|row| { reader.int8_row(row).unwrap().is_some() == int8.contains(&row) })
        );
    }

    #[test]
    fn transposes() {
        let source = &sources()[1];
        let stored = Matrix::stack(ROWS, INPUTS, vec![part(source, 1)]);
        let transposed = part(source, 1).transposed(INPUTS, ROWS).unwrap();
        let transposed = Matrix::stack(INPUTS, ROWS, vec![transposed]);
        let [from, to] = [stored, transposed].map(|matrix| {
            let mut values = vec![0.0; ROWS * INPUTS];
            matrix.read_rows(0..matrix.outputs, &mut values).unwrap();
            values
        });
        for row in 0..ROWS {
            for column in 0..INPUTS {
                assert_eq!(from[row * INPUTS + column], to[column * ROWS + row]);
            }
        }
    }

    #[test]
    fn errors_name_the_tensor_and_the_index_within_it() {
        let mut values = vec![0.0; 6];
        values[4] = f32::INFINITY;
        let part =
            |name: &str, values| Values { name: name.to_owned(), data: Data::Computed(values) };
        let parts = vec![part("good", vec![0.0; 6]), part("bad", values)];
        let matrix = Matrix::stack(2, 3, parts);
        match matrix.read_rows(0..4, &mut [0.0; 12]).unwrap_err() {
            Error::Checkpoint(CheckpointError::NotFinite { name, index: 4, found }) => {
                assert_eq!((name.as_str(), found), ("bad", f32::INFINITY));
            }
            other => panic!("{other}"),
        }
        let source = Source::from_bytes(Path::new("weights"), Arc::new(vec![0; 10]));
        let region = Region { source: &source, offset: 0, len: 12 };
        let values = Values { name: "short".to_owned(), data: Data::F32(region) };
        let matrix = Matrix::stack(1, 3, vec![values]);
        match matrix.reader(0..1).read_row(0, &mut [0.0; 3]).unwrap_err() {
            Error::Checkpoint(CheckpointError::FileChanged { reason, .. }) => {
                assert!(reason.contains("`short`"), "{reason}")
            }
            other => panic!("{other}"),
        }
    }
}
