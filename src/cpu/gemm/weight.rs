//! The types in which weights are held, and how a tile of each is multiplied.

use half::f16;

use crate::cpu::gemm::tile::{Ahead, FLOAT_DEPTH_BLOCK, TileOutput, TileRows};
use crate::cpu::memory::aligned::Plain;
use crate::cpu::ops::embeddings::{FloatTable, Table};
use crate::cpu::ops::quantize::QuantizedRows;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::Isa;
use crate::model::matrix::{BadWeight, Matrix};

/// Rows of a row-major buffer, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T = f32> {
    pub values: &'a [T],
    pub stride: usize,
    pub count: usize,
}

/// As many rows as begin in `values`, `stride` apart.
pub(crate) fn rows(values: &[f32], stride: usize) -> Rows<'_> {
    Rows { values, stride, count: values.len().div_ceil(stride) }
}

/// A type of packed weights: how a matrix and the rows that it multiplies become it, how tiles of it
/// are multiplied, and how sums become values again.
pub(crate) trait Weight: Plain + Default + Send + Sync + 'static {
    /// What they are multiplied with.
    type Input: Plain + Send + Sync;
    /// What products are summed in.
    type Sum: Plain + Default + Send + Sync;
    /// Inputs whose products are summed on their own before they join the total. A panel's part of
    /// that depth stays in L1 while the rows pass by.
    const DEPTH_BLOCK: usize;

    /// What a column's sum needs to become a value.
    type Column: Clone + Default + Send;
    /// That of all columns of whole panels.
    type Columns: From<Vec<Self::Column>> + Send + Sync;
    /// That of a vector of columns.
    type Scales<'a, I: Isa>: Copy;
    /// Rows as they are multiplied.
    type Rows<'a>: Copy + Send + Sync;
    /// Embeddings of a model with such weights.
    type Table: Table;

    /// Reads a row of a matrix, by way of `floats` if need be; both have room for it.
    fn read_row(
        matrix: &Matrix<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [Self],
    ) -> Result<Self::Column, BadWeight>;

    /// Rows as they are multiplied; `quantized` has room for them.
    fn from_rows<'a, I: Isa>(
        isa: I,
        team: &Team,
        rows: Rows<'a>,
        depth: usize,
        quantized: &'a mut QuantizedRows,
    ) -> Self::Rows<'a>;

    /// What tiles read, from one row on, and the distance of rows.
    fn inputs<'a>(rows: &'a Self::Rows<'_>, first_row: usize) -> (&'a [Self::Input], usize);

    /// Inputs of one step of a panel, whose weights are side by side for each column.
    fn group<I: Isa>() -> usize {
        1
    }

    /// Rows of a full tile.
    fn tile_rows<I: Isa>() -> usize {
        I::TILE_ROWS
    }

    /// Multiplies a tile's rows.
    fn tile<I: Isa>(
        isa: I,
        input: TileRows<'_, Self::Input>,
        panel: &[Self],
        ahead: Ahead<'_>,
        output: TileOutput<'_, Self::Sum>,
    );

    /// What the sums of `LANES` columns need, from `column` on.
    fn scales<I: Isa>(isa: I, columns: &Self::Columns, column: usize) -> Self::Scales<'_, I>;

    /// The values of `LANES` sums of one row.
    fn value<I: Isa>(
        isa: I,
        sums: &[Self::Sum],
        rows: Self::Rows<'_>,
        row: usize,
        scales: Self::Scales<'_, I>,
    ) -> I::F32;
}

/// Weights that stand for themselves, one to a group: what is packed of them can be packed again.
pub(crate) trait FloatWeight: Weight<Column = ()> {}

impl FloatWeight for f32 {}
impl FloatWeight for f16 {}

/// The sums of float weights are values.
pub(crate) struct NoColumns;

impl From<Vec<()>> for NoColumns {
    fn from(_: Vec<()>) -> Self {
        Self
    }
}

impl Weight for f32 {
    type Input = f32;
    type Sum = f32;
    const DEPTH_BLOCK: usize = FLOAT_DEPTH_BLOCK;
    type Column = ();
    type Columns = NoColumns;
    type Scales<'a, I: Isa> = ();
    type Rows<'a> = Rows<'a>;
    type Table = FloatTable;

    fn read_row(
        matrix: &Matrix<'_>,
        row: usize,
        _: &mut [f32],
        to: &mut [f32],
    ) -> Result<(), BadWeight> {
        matrix.read_row(row, to)
    }

    fn from_rows<'a, I: Isa>(
        _: I,
        _: &Team,
        rows: Rows<'a>,
        _: usize,
        _: &'a mut QuantizedRows,
    ) -> Rows<'a> {
        rows
    }

    fn inputs<'a>(rows: &'a Rows<'_>, first_row: usize) -> (&'a [f32], usize) {
        (&rows.values[first_row * rows.stride..], rows.stride)
    }

    #[inline(always)]
    fn scales<I: Isa>(_: I, _: &NoColumns, _: usize) {}

    #[inline(always)]
    fn value<I: Isa>(isa: I, sums: &[f32], _: Rows<'_>, _: usize, (): ()) -> I::F32 {
        isa.load(sums)
    }

    #[inline(always)]
    fn tile<I: Isa>(
        isa: I,
        input: TileRows<'_, f32>,
        panel: &[f32],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        isa.tile_f32(input, panel, ahead, output);
    }
}

impl Weight for f16 {
    type Input = f32;
    type Sum = f32;
    const DEPTH_BLOCK: usize = FLOAT_DEPTH_BLOCK;
    type Column = ();
    type Columns = NoColumns;
    type Scales<'a, I: Isa> = ();
    type Rows<'a> = Rows<'a>;
    type Table = FloatTable;

    fn read_row(
        matrix: &Matrix<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [f16],
    ) -> Result<(), BadWeight> {
        matrix.read_halves(row, floats, to)
    }

    fn from_rows<'a, I: Isa>(
        _: I,
        _: &Team,
        rows: Rows<'a>,
        _: usize,
        _: &'a mut QuantizedRows,
    ) -> Rows<'a> {
        rows
    }

    fn inputs<'a>(rows: &'a Rows<'_>, first_row: usize) -> (&'a [f32], usize) {
        (&rows.values[first_row * rows.stride..], rows.stride)
    }

    #[inline(always)]
    fn scales<I: Isa>(_: I, _: &NoColumns, _: usize) {}

    #[inline(always)]
    fn value<I: Isa>(isa: I, sums: &[f32], _: Rows<'_>, _: usize, (): ()) -> I::F32 {
        isa.load(sums)
    }

    #[inline(always)]
    fn tile<I: Isa>(
        isa: I,
        input: TileRows<'_, f32>,
        panel: &[f16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        isa.tile_f16(input, panel, ahead, output);
    }
}
