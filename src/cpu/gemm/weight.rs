//! Types of packed weights, and the multiplication of their tiles.

use std::mem::{self, MaybeUninit};

use half::f16;

use super::rows::Rows;
use super::tile::{Ahead, FLOAT_DEPTH_BLOCK, TileOutput, TileRows};
use crate::cpu::executor::Executor;
use crate::cpu::last_layer::{Absorbed, FirstTokenAttention};
use crate::cpu::memory::aligned::Plain;
use crate::cpu::ops::attention::{Arithmetic, FloatAttention};
use crate::cpu::ops::embeddings::{FloatTable, Table};
use crate::cpu::simd::{Isa, MAX_PANEL, TileShape};
use crate::error::Result;
use crate::model::matrix::RowReader;

/// A type of packed weights: conversion of a matrix and of the rows that it multiplies, multiplication of tiles, and
/// conversion of sums to values.
pub(crate) trait Weight: Plain + Default + Send + Sync + 'static {
    /// Type that weights are multiplied with.
    type Input: Plain + Send + Sync;
    /// Type that products are summed in.
    type Sum: Plain + Default + Send + Sync;
    /// Inputs whose products are summed on their own before they join the total. A panel's part of this depth stays
    /// in L1 while the rows pass by.
    const DEPTH_BLOCK: usize;
    /// Maximum number of inputs per layer.
    const MAX_INPUTS: usize;

    /// Data that turns a column's sum into a value.
    type Column: Clone + Default + Send;
    /// Data of all columns of whole panels.
    type Columns: From<Vec<Self::Column>> + Send + Sync;
    /// A panel's part of some depth, as the next tile reads it.
    type Part<'a>;
    /// Memory for such a part.
    type PartMemory: Default;
    /// Data of a vector of columns.
    type Scales<'a, I: Isa>: Copy;
    /// Memory for rows as they are multiplied.
    type Converted: Default + Send;
    /// Rows as they are multiplied.
    type Rows<'a>: Copy + Send + Sync;
    /// Embeddings of a model with such weights.
    type Table: Table;
    /// Attention of a model with such weights.
    type Attention: Arithmetic;
    /// Attention of the last layer of a model with such weights.
    type FirstTokenAttention: FirstTokenAttention<Self>;

    /// Reads a row of a matrix. `floats` is scratch of the row's length.
    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [Self],
    ) -> Result<Self::Column>;

    /// Converts rows of `depth` values to the type that is multiplied; `converted` is memory for them.
    fn convert_rows<'a>(
        executor: &mut Executor<'_>,
        rows: Rows<'a>,
        depth: usize,
        converted: &'a mut Self::Converted,
    ) -> Self::Rows<'a>;

    /// Returns the values that tiles read, from one row on, and the row stride.
    fn inputs<'a>(rows: &'a Self::Rows<'_>, first_row: usize) -> (&'a [Self::Input], usize);

    /// Returns the number of inputs of one step of a panel, whose weights are side by side for each column.
    fn group(shape: TileShape) -> usize;

    /// Returns the number of rows of a full tile.
    fn tile_rows(shape: TileShape) -> usize;

    /// Returns a panel's part of some depth, which this number of tiles reads.
    fn part<'a>(
        weights: &'a [Self],
        tiles: usize,
        memory: &'a mut Self::PartMemory,
    ) -> Self::Part<'a>;

    /// Multiplies a tile.
    fn multiply_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, Self::Input>,
        part: &mut Self::Part<'_>,
        ahead: Ahead<'_>,
        output: TileOutput<'_, Self::Sum>,
    );

    /// Returns the data of `LANES` columns from `column` on.
    fn scales<I: Isa>(isa: I, columns: &Self::Columns, column: usize) -> Self::Scales<'_, I>;

    /// Returns the values of `LANES` sums of one row.
    fn value<I: Isa>(
        isa: I,
        sums: &[Self::Sum],
        rows: Self::Rows<'_>,
        row: usize,
        scales: Self::Scales<'_, I>,
    ) -> I::F32;
}

/// Weights that need no scale, one to a group, so that packed ones can be packed again in another order.
pub(crate) trait FloatWeight: Plain + Default + Send + Sync + 'static {
    /// Type of [`Weight::Part`].
    type FloatPart<'a>;
    /// Type of [`Weight::PartMemory`].
    type FloatPartMemory: Default;

    /// Reads a row of a matrix. `floats` is scratch of the row's length.
    fn read_floats(
        reader: &mut RowReader<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [Self],
    ) -> Result<()>;

    /// Returns [`Weight::part`].
    fn float_part<'a>(
        weights: &'a [Self],
        tiles: usize,
        memory: &'a mut Self::FloatPartMemory,
    ) -> Self::FloatPart<'a>;

    /// Multiplies a tile.
    fn multiply_float_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, f32>,
        part: &mut Self::FloatPart<'_>,
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    );
}

/// Column data of float weights: their sums are values.
pub(crate) struct NoColumns;

impl From<Vec<()>> for NoColumns {
    fn from(_: Vec<()>) -> Self {
        Self
    }
}

impl<F: FloatWeight> Weight for F {
    type Input = f32;
    type Sum = f32;
    const DEPTH_BLOCK: usize = FLOAT_DEPTH_BLOCK;
    const MAX_INPUTS: usize = usize::MAX;
    type Column = ();
    type Columns = NoColumns;
    type Part<'a> = F::FloatPart<'a>;
    type PartMemory = F::FloatPartMemory;
    type Scales<'a, I: Isa> = ();
    type Converted = ();
    type Rows<'a> = Rows<'a>;
    type Table = FloatTable;
    type Attention = FloatAttention;
    type FirstTokenAttention = Absorbed<F>;

    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [F],
    ) -> Result<()> {
        F::read_floats(reader, row, floats, to)
    }

    fn convert_rows<'a>(
        _: &mut Executor<'_>,
        rows: Rows<'a>,
        _: usize,
        (): &'a mut (),
    ) -> Rows<'a> {
        rows
    }

    fn inputs<'a>(rows: &'a Rows<'_>, first_row: usize) -> (&'a [f32], usize) {
        (&rows.values[first_row * rows.stride..], rows.stride)
    }

    #[inline(always)]
    fn group(_: TileShape) -> usize {
        1
    }

    #[inline(always)]
    fn tile_rows(shape: TileShape) -> usize {
        shape.tile_rows
    }

    #[inline(always)]
    fn part<'a>(
        weights: &'a [F],
        tiles: usize,
        memory: &'a mut F::FloatPartMemory,
    ) -> F::FloatPart<'a> {
        F::float_part(weights, tiles, memory)
    }

    #[inline(always)]
    fn multiply_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, f32>,
        part: &mut F::FloatPart<'_>,
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        F::multiply_float_tile(isa, input, part, ahead, output);
    }

    #[inline(always)]
    fn scales<I: Isa>(_: I, _: &NoColumns, _: usize) {}

    #[inline(always)]
    fn value<I: Isa>(isa: I, sums: &[f32], _: Rows<'_>, _: usize, (): ()) -> I::F32 {
        isa.load(sums)
    }
}

impl FloatWeight for f32 {
    type FloatPart<'a> = &'a [f32];
    type FloatPartMemory = ();

    #[inline(always)]
    fn float_part<'a>(weights: &'a [f32], _: usize, (): &'a mut ()) -> &'a [f32] {
        weights
    }

    fn read_floats(
        reader: &mut RowReader<'_>,
        row: usize,
        _: &mut [f32],
        to: &mut [f32],
    ) -> Result<()> {
        reader.read_row(row, to)
    }

    #[inline(always)]
    fn multiply_float_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, f32>,
        part: &mut &[f32],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        isa.tile_f32(input, part, ahead, output);
    }
}

/// Part of a panel of `f16` weights.
pub(crate) enum HalfPart<'a> {
    /// Widened by each tile.
    Halves(&'a [f16]),
    /// May be widened by the first tile for the others.
    First(&'a [f16], &'a mut [MaybeUninit<f32>]),
    Widened(&'a [f32]),
}

/// Memory for the widened weights of a part, which begins on a cache line.
#[repr(align(64))]
pub(crate) struct WidenedPart([MaybeUninit<f32>; FLOAT_DEPTH_BLOCK * MAX_PANEL]);

impl Default for WidenedPart {
    #[inline(always)]
    fn default() -> Self {
        Self([const { MaybeUninit::uninit() }; FLOAT_DEPTH_BLOCK * MAX_PANEL])
    }
}

impl FloatWeight for f16 {
    type FloatPart<'a> = HalfPart<'a>;
    type FloatPartMemory = WidenedPart;

    #[inline(always)]
    fn float_part<'a>(
        weights: &'a [f16],
        tiles: usize,
        memory: &'a mut WidenedPart,
    ) -> HalfPart<'a> {
        if tiles == 1 {
            return HalfPart::Halves(weights);
        }
        HalfPart::First(weights, &mut memory.0[..weights.len()])
    }

    fn read_floats(
        reader: &mut RowReader<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [f16],
    ) -> Result<()> {
        reader.read_halves(row, floats, to)
    }

    #[inline(always)]
    fn multiply_float_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, f32>,
        part: &mut HalfPart<'_>,
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        *part = match mem::replace(part, HalfPart::Halves(&[])) {
            HalfPart::Halves(panel) => {
                isa.tile_f16(input, panel, ahead, output);
                HalfPart::Halves(panel)
            }
            HalfPart::First(panel, memory) => {
                let widened = isa.tile_f16_widening(input, panel, ahead, output, memory);
                widened.map_or(HalfPart::Halves(panel), HalfPart::Widened)
            }
            HalfPart::Widened(panel) => {
                isa.tile_f32(input, panel, ahead, output);
                HalfPart::Widened(panel)
            }
        };
    }
}
