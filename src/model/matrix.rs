//! Matrices as a checkpoint has them: rows of a memory-mapped file, widened as they are read.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Halves are widened in blocks of this many, so that the copy in between stays in L1.
const WIDEN_BLOCK: usize = 2048;

/// Columns are read so many at a time, so that what they become part of is written in runs.
const TRANSPOSE_BLOCK: usize = 32;

/// A weight matrix or a table of embeddings: `outputs` rows of `inputs` values.
pub(crate) struct Matrix<'a> {
    pub outputs: usize,
    pub inputs: usize,
    /// Matrices of the same size, one below the other.
    pub parts: Vec<Values<'a>>,
}

/// Row-major little-endian values.
pub(crate) enum Values<'a> {
    F32(&'a [u8]),
    F16(&'a [u8]),
    Bf16(&'a [u8]),
    /// With one scale for each row.
    Int8 {
        bytes: &'a [u8],
        scales: Vec<f32>,
    },
    /// Not from a file.
    Computed(Vec<f32>),
}

/// A weight that is no number, or that the form in which it is to be held cannot express.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadWeight {
    /// Row-major index.
    pub index: usize,
    pub found: f32,
}

impl<'a> Matrix<'a> {
    /// The part that has a row, and the row's place in it.
    fn part(&self, row: usize) -> (&Values<'a>, usize) {
        let rows = self.outputs / self.parts.len();
        (&self.parts[row / rows], row % rows)
    }

    /// Reads a row as `f32`; gives its first value that is not finite as an error.
    pub fn read_row(&self, row: usize, to: &mut [f32]) -> Result<(), BadWeight> {
        let (part, part_row) = self.part(row);
        part.read(part_row * self.inputs, part_row, &mut to[..self.inputs]);
        // Without a way out of the loop, so that it is vectorised.
        if to.iter().fold(true, |all, value| all & value.is_finite()) {
            return Ok(());
        }
        let column = to.iter().position(|value| !value.is_finite()).unwrap_or(0);
        Err(BadWeight { index: row * self.inputs + column, found: to[column] })
    }

    /// Reads a row as halves, by way of `floats`, which has room for it; gives its first value that is too
    /// large for one as an error.
    pub fn read_halves(
        &self,
        row: usize,
        floats: &mut [f32],
        to: &mut [f16],
    ) -> Result<(), BadWeight> {
        self.read_row(row, floats)?;
        to.convert_from_f32_slice(floats);
        match to.iter().position(|half| half.is_infinite()) {
            None => Ok(()),
            Some(column) => {
                Err(BadWeight { index: row * self.inputs + column, found: floats[column] })
            }
        }
    }

    /// A row in 8 bits with its scale, if it is stored so.
    pub fn int8_row(&self, row: usize) -> Option<(&'a [u8], f32)> {
        let (Values::Int8 { bytes, scales }, row) = self.part(row) else { return None };
        Some((&bytes[row * self.inputs..][..self.inputs], scales[row]))
    }
}

impl Values<'_> {
    /// The matrix of `rows` rows of `len` whose transpose these are, as `f32`.
    pub fn transposed(&self, rows: usize, len: usize) -> Self {
        let mut stored = vec![0.0; TRANSPOSE_BLOCK * rows];
        let mut values = vec![0.0; rows * len];
        for start in (0..len).step_by(TRANSPOSE_BLOCK) {
            let columns = start..len.min(start + TRANSPOSE_BLOCK);
            let stored = &mut stored[..columns.len() * rows];
            self.read(start * rows, 0, stored);
            for row in 0..rows {
                let values = &mut values[row * len..][columns.clone()];
                for (value, column) in values.iter_mut().zip(stored.chunks_exact(rows)) {
                    *value = column[row];
                }
            }
        }
        Self::Computed(values)
    }

    /// Reads values of a row from an index on.
    fn read(&self, start: usize, row: usize, to: &mut [f32]) {
        let end = start + to.len();
        match self {
            Self::F32(bytes) => {
                let values = &bytes.as_chunks().0[start..end];
                for (to, &bytes) in to.iter_mut().zip(values) {
                    *to = f32::from_le_bytes(bytes);
                }
            }
            Self::F16(bytes) => {
                let halves = &bytes.as_chunks().0[start..end];
                widen(halves, f16::from_le_bytes, |half, wide| half.convert_to_f32_slice(wide), to);
            }
            Self::Bf16(bytes) => {
                let halves = &bytes.as_chunks().0[start..end];
                widen(
                    halves,
                    bf16::from_le_bytes,
                    |half, wide| half.convert_to_f32_slice(wide),
                    to,
                );
            }
            Self::Int8 { bytes, scales } => {
                for (to, &byte) in to.iter_mut().zip(&bytes[start..end]) {
                    *to = f32::from(byte as i8) * scales[row];
                }
            }
            Self::Computed(values) => to.copy_from_slice(&values[start..end]),
        }
    }
}

/// Widens little-endian halves a block at a time with the crate's vectorised conversion.
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
