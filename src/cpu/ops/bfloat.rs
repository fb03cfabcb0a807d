//! Linear layers in bf16: inputs and weights are rounded to bf16, and products are summed in `f32`.

use half::bf16;

use crate::cpu::executor::Executor;
use crate::cpu::gemm::rows::Rows;
use crate::cpu::gemm::tile::{Ahead, TileOutput, TileRows};
use crate::cpu::gemm::weight::{NoColumns, Weight};
use crate::cpu::last_layer::Projected;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::Bf16Attention;
use crate::cpu::ops::embeddings::FloatTable;
use crate::cpu::ops::quantize::TASK_VALUES;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::bfloat::{narrow_row, widen};
use crate::cpu::simd::{Isa, Kernel, TileShape};
use crate::error::Result;
use crate::model::matrix::RowReader;

/// Values in a cache line, which is left between rows: rows of a tile that are 6 KiB apart would compete for two sets
/// of L1.
const LINE: usize = 32;

/// Tokens' vectors in bf16.
#[derive(Default)]
pub(crate) struct Bf16Rows {
    values: AlignedVec<bf16>,
    stride: usize,
}

impl Bf16Rows {
    /// Makes room for `count` rows of `depth` values.
    fn resize(&mut self, count: usize, depth: usize) {
        self.stride = depth + LINE;
        self.values.resize(count * self.stride);
    }
}

/// A task: rounds some rows. Values past them, up to the distance of rows, become zero.
struct NarrowRows<'a> {
    from: Rows<'a>,
    len: usize,
    to: &'a mut [bf16],
    stride: usize,
}

impl Kernel for NarrowRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { from, len, to, stride } = self;
        for (row, to) in to.chunks_exact_mut(stride).enumerate() {
            let (values, rest) = to.split_at_mut(len);
            isa.narrow_row(&from.values[row * from.stride..][..len], values);
            rest.fill(bf16::ZERO);
        }
    }
}

impl Weight for bf16 {
    type Input = bf16;
    type Sum = f32;
    // 24 KiB of a panel with AVX-512, a whole number of AMX's steps, and half the width of DistilBERT-base.
    const DEPTH_BLOCK: usize = 384;
    const MAX_INPUTS: usize = usize::MAX;
    type Column = ();
    type Columns = NoColumns;
    type Part<'a> = &'a [bf16];
    type PartMemory = ();
    type Scales<'a, I: Isa> = ();
    type Converted = Bf16Rows;
    type Rows<'a> = &'a Bf16Rows;
    type Table = FloatTable;
    type Attention = Bf16Attention;
    type FirstTokenAttention = Projected;

    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [bf16],
    ) -> Result<()> {
        reader.read_row(row, floats)?;
        narrow_row(floats, to);
        match to.iter().position(|&value| widen(value).is_infinite()) {
            None => Ok(()),
            Some(column) => Err(reader.matrix().bad_value(row, column, floats[column])),
        }
    }

    fn convert_rows<'a>(
        executor: &mut Executor<'_>,
        rows: Rows<'a>,
        depth: usize,
        converted: &'a mut Bf16Rows,
    ) -> &'a Bf16Rows {
        let isa = executor.isa;
        converted.resize(rows.count, depth.next_multiple_of(isa.shape().bf16_group));
        let stride = converted.stride;
        let task_rows = TASK_VALUES.div_ceil(stride);
        let parts = Chunks::new(&mut converted.values, task_rows * stride);
        executor.leader.for_each(parts, |task, to| {
            let from = Rows { values: &rows.values[task * task_rows * rows.stride..], ..rows };
            isa.dispatch(NarrowRows { from, len: depth, to, stride });
        });
        converted
    }

    fn inputs<'a>(rows: &'a &Bf16Rows, first_row: usize) -> (&'a [bf16], usize) {
        (&rows.values[first_row * rows.stride..], rows.stride)
    }

    #[inline(always)]
    fn group(shape: TileShape) -> usize {
        shape.bf16_group
    }

    #[inline(always)]
    fn tile_rows(shape: TileShape) -> usize {
        shape.bf16_tile_rows
    }

    #[inline(always)]
    fn part<'a>(weights: &'a [bf16], _: usize, (): &'a mut ()) -> &'a [bf16] {
        weights
    }

    #[inline(always)]
    fn multiply_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, bf16>,
        part: &mut &[bf16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        isa.tile_bf16(input, part, ahead, output);
    }

    #[inline(always)]
    fn scales<I: Isa>(_: I, _: &NoColumns, _: usize) {}

    #[inline(always)]
    fn value<I: Isa>(isa: I, sums: &[f32], _: &Bf16Rows, _: usize, (): ()) -> I::F32 {
        isa.load(sums)
    }
}
