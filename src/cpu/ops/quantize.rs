//! 8-bit linear layers: inputs are rounded for each token, weights for each output.

use crate::cpu::executor::Executor;
use crate::cpu::gemm::rows::Rows;
use crate::cpu::gemm::tile::{Ahead, TileOutput, TileRows};
use crate::cpu::gemm::weight::Weight;
use crate::cpu::last_layer::Projected;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::Int8Attention;
use crate::cpu::ops::embeddings::Int8Table;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::{Isa, Kernel, TileShape};
use crate::error::Result;
use crate::model::matrix::RowReader;
use crate::quantization::{LARGEST_WEIGHT, inverse, read_row, step};

/// Number of values that a task converts: a few microseconds of work.
pub(super) const TASK_VALUES: usize = 32 * 1024;

/// Maximum number of inputs whose products sum without overflow in 32 bits. The largest sum is that of inputs 255 away
/// from their zero point and weights at the end of their range, with either sign.
const MAX_INPUTS: usize = i32::MAX as usize / (u8::MAX as usize * LARGEST_WEIGHT as usize);

/// Tokens' vectors in 8 bits, from which [`Isa::INT8_OFFSET`] has been subtracted: value `i` of a row, as instructions
/// read it, stands for `(values[i] − zero_point) · scale`.
#[derive(Default)]
pub(crate) struct QuantizedRows {
    values: AlignedVec<u8>,
    stride: usize,
    rows: Vec<RowScale>,
}

/// Scale and zero point of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct RowScale {
    scale: f32,
    /// From 0 to 255, minus the offset.
    zero_point: i32,
}

impl QuantizedRows {
    /// Makes room for `count` rows of `depth` values.
    pub fn resize(&mut self, count: usize, depth: usize) {
        self.stride = depth;
        self.values.resize(count * depth);
        self.rows.resize(count, RowScale::default());
    }

    /// Rounds the first `len` values of each row, after [`resize`](Self::resize).
    fn quantize(&mut self, executor: &mut Executor<'_>, rows: Rows<'_>, len: usize) {
        let (isa, depth) = (executor.isa, self.stride);
        let task_rows = TASK_VALUES.div_ceil(depth);
        let parts = (
            Chunks::new(&mut self.values, task_rows * depth),
            Chunks::new(&mut self.rows, task_rows),
        );
        executor.leader.for_each(parts, |task, (values, scales)| {
            let from = Rows { values: &rows.values[task * task_rows * rows.stride..], ..rows };
            isa.dispatch(QuantizeRows { from, len, values, scales });
        });
    }

    /// Returns the values that a row's bytes stand for.
    #[cfg(feature = "kernels")]
    pub fn read_row<I: Isa>(&self, _: I, row: usize, to: &mut [f32]) {
        let RowScale { scale, zero_point } = self.rows[row];
        for (to, &value) in to.iter_mut().zip(&self.values[row * self.stride..]) {
            *to = (input::<I>(value) - zero_point) as f32 * scale;
        }
    }
}

/// Returns an 8-bit input as instructions read it.
#[cfg(any(test, feature = "kernels"))]
#[inline(always)]
pub(crate) fn input<I: Isa>(byte: u8) -> i32 {
    i32::from(byte.wrapping_add(I::INT8_OFFSET)) - i32::from(I::INT8_OFFSET)
}

/// A task: rounds some rows.
struct QuantizeRows<'a> {
    from: Rows<'a>,
    len: usize,
    values: &'a mut [u8],
    scales: &'a mut [RowScale],
}

impl Kernel for QuantizeRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { from, len, values, scales } = self;
        let depth = len.next_multiple_of(I::INT8_GROUP);
        for (row, (to, scale)) in values.chunks_exact_mut(depth).zip(scales).enumerate() {
            *scale = quantize_row(isa, &from.values[row * from.stride..][..len], to);
        }
    }
}

/// Rounds one row. Values of `to` past it become zero.
///
/// The range from the least to the largest value, zero included, becomes 0 to 255, so that zero is expressed exactly.
#[inline(always)]
fn quantize_row<I: Isa>(isa: I, from: &[f32], to: &mut [u8]) -> RowScale {
    const LARGEST: f32 = u8::MAX as f32;
    let whole = from.len() - from.len() % I::LANES;
    let (vectors, rest) = from.split_at(whole);
    let [mut least, mut largest] = [isa.splat(0.0); 2];
    for chunk in vectors.chunks_exact(I::LANES) {
        let value = isa.load(chunk);
        least = isa.min(least, value);
        largest = isa.max(largest, value);
    }
    let least = rest.iter().fold(isa.smallest(least), |least, &value| least.min(value));
    let largest = rest.iter().fold(isa.largest(largest), |largest, &value| largest.max(value));

    let scale = step(largest - least, LARGEST);
    let inverse_step = inverse(scale);
    let zero_point = (-least * inverse_step).round_ties_even().min(LARGEST);

    let [inverse, offset] = [inverse_step, zero_point].map(|value| isa.splat(value));
    let [zero, end] = [0.0, LARGEST].map(|value| isa.splat(value));
    for (values, to) in vectors.chunks_exact(I::LANES).zip(to.chunks_exact_mut(I::LANES)) {
        let value = isa.add(isa.mul(isa.load(values), inverse), offset);
        isa.store_rounded(isa.min(isa.max(value, zero), end), to);
    }
    for (value, to) in rest.iter().zip(&mut to[whole..]) {
        let rounded = (value * inverse_step + zero_point).round_ties_even();
        *to = (rounded.clamp(0.0, LARGEST) as u8).wrapping_sub(I::INT8_OFFSET);
    }
    to[from.len()..].fill(0);
    RowScale { scale, zero_point: zero_point as i32 - i32::from(I::INT8_OFFSET) }
}

/// Data that turns the sum of a packed column into a value.
#[derive(Clone, Copy, Default)]
pub(crate) struct Int8Column {
    scale: f32,
    /// Sum of the column's weights.
    sum: i32,
}

/// Data of all columns.
pub(crate) struct Int8Columns {
    scales: AlignedVec,
    sums: AlignedVec<i32>,
}

impl From<Vec<Int8Column>> for Int8Columns {
    fn from(columns: Vec<Int8Column>) -> Self {
        let (mut scales, mut sums) =
            (AlignedVec::zeroed(columns.len()), AlignedVec::zeroed(columns.len()));
        for (index, column) in columns.into_iter().enumerate() {
            (scales[index], sums[index]) = (column.scale, column.sum);
        }
        Self { scales, sums }
    }
}

impl Weight for i8 {
    type Input = u8;
    type Sum = i32;
    // 24 KiB of a panel with AVX-512, and the whole width of DistilBERT-base.
    const DEPTH_BLOCK: usize = 768;
    const MAX_INPUTS: usize = MAX_INPUTS;
    type Column = Int8Column;
    type Columns = Int8Columns;
    type Part<'a> = &'a [i8];
    type PartMemory = ();
    type Scales<'a, I: Isa> = (I::F32, &'a [i32]);
    type Converted = QuantizedRows;
    type Rows<'a> = &'a QuantizedRows;
    type Table = Int8Table;
    type Attention = Int8Attention;
    type FirstTokenAttention = Projected;

    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [i8],
    ) -> Result<Int8Column> {
        let scale = read_row(reader, row, LARGEST_WEIGHT, floats, to)?;
        Ok(Int8Column { scale, sum: to.iter().copied().map(i32::from).sum() })
    }

    fn convert_rows<'a>(
        executor: &mut Executor<'_>,
        rows: Rows<'a>,
        depth: usize,
        quantized: &'a mut QuantizedRows,
    ) -> &'a QuantizedRows {
        let group = executor.isa.shape().int8_group;
        quantized.resize(rows.count, depth.next_multiple_of(group));
        quantized.quantize(executor, rows, depth);
        quantized
    }

    #[inline(always)]
    fn group(shape: TileShape) -> usize {
        shape.int8_group
    }

    #[inline(always)]
    fn tile_rows(shape: TileShape) -> usize {
        shape.int8_tile_rows
    }

    #[inline(always)]
    fn inputs<'a>(rows: &'a &QuantizedRows, first_row: usize) -> (&'a [u8], usize) {
        (&rows.values[first_row * rows.stride..], rows.stride)
    }

    #[inline(always)]
    fn part<'a>(weights: &'a [i8], _: usize, (): &'a mut ()) -> &'a [i8] {
        weights
    }

    #[inline(always)]
    fn multiply_tile<I: Isa>(
        isa: I,
        input: TileRows<'_, u8>,
        part: &mut &[i8],
        ahead: Ahead<'_>,
        output: TileOutput<'_, i32>,
    ) {
        isa.tile_int8(input, part, ahead, output);
    }

    #[inline(always)]
    fn scales<I: Isa>(isa: I, columns: &Int8Columns, column: usize) -> Self::Scales<'_, I> {
        (isa.load(&columns.scales[column..]), &columns.sums[column..column + I::LANES])
    }

    /// Returns `scale · column's scale · (sum − zero point · column's sum)`
    #[inline(always)]
    fn value<I: Isa>(
        isa: I,
        sums: &[i32],
        rows: &QuantizedRows,
        row: usize,
        (column_scales, column_sums): Self::Scales<'_, I>,
    ) -> I::F32 {
        let RowScale { scale, zero_point } = rows.rows[row];
        let sum = isa.without_zero_point(sums, zero_point, column_sums);
        isa.mul(sum, isa.mul(isa.splat(scale), column_scales))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::gemm::block::multiply_panel;
    use crate::cpu::simd::on_every_set;
    use crate::testing::random;

    /// Rounds one row and adds the offset again, so that every set returns the same values.
    #[derive(Clone, Copy)]
    struct Quantize<'a>(&'a [f32]);

    impl Kernel for Quantize<'_> {
        type Output = (RowScale, Vec<u8>);

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) -> Self::Output {
            let len = self.0.len();
            let mut to = vec![9; len.next_multiple_of(I::INT8_GROUP)];
            let RowScale { scale, zero_point } = quantize_row(isa, self.0, &mut to);
            assert!(to[len..].iter().all(|&padding| padding == 0));
            let zero_point = zero_point + i32::from(I::INT8_OFFSET);
            let values = to[..len].iter().map(|&byte| byte.wrapping_add(I::INT8_OFFSET)).collect();
            (RowScale { scale, zero_point }, values)
        }
    }

    #[test]
    fn every_value_is_within_half_a_step_and_the_same_on_every_set() {
        let rows = (1..=70).map(|len| random(len as u64, len)).chain([
            vec![0.0; 19],
            vec![3.0; 19],
            vec![-3.0; 19],
            vec![1e-44; 19],
            random(3, 768).iter().map(|x| x + 40.0).collect(),
            random(3, 768).iter().map(|x| x * 1e30).collect(),
        ]);
        for row in rows {
            let mut first = None;
            on_every_set(Quantize(&row), |set, found| {
                let (RowScale { scale, zero_point }, values) = &found;
                for (&value, &byte) in row.iter().zip(values) {
                    let back = (i32::from(byte) - zero_point) as f32 * scale;
                    let step = scale * 0.5001 + 1e-43;
                    assert!((value - back).abs() <= step, "{value} became {back} on {set}");
                }
                assert_eq!(*first.get_or_insert(found.clone()), found, "{set}");
            });
        }
    }

    /// Maximum number of inputs, all of them as far from the zero point as possible, times the largest weights.
    #[derive(Clone, Copy)]
    struct LargestSum {
        weight: i8,
    }

    impl Kernel for LargestSum {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            let depth = MAX_INPUTS.next_multiple_of(I::INT8_GROUP);
            let byte = u8::MAX.wrapping_sub(I::INT8_OFFSET);
            let mut inputs = vec![byte; depth];
            inputs[MAX_INPUTS..].fill(0);
            let mut panel = vec![self.weight; depth * I::PANEL];
            panel[(depth - I::INT8_GROUP) * I::PANEL..].fill(0);
            let last = MAX_INPUTS - (depth - I::INT8_GROUP);
            for column in
                panel[(depth - I::INT8_GROUP) * I::PANEL..].chunks_exact_mut(I::INT8_GROUP)
            {
                column[..last].fill(self.weight);
            }
            let mut sums = vec![0; I::PANEL];
            multiply_panel(
                isa,
                (&inputs, depth),
                (1, depth),
                &panel,
                (&mut sums, I::PANEL),
                |_| (),
            );
            let column_sum = i32::from(self.weight) * MAX_INPUTS as i32;
            let zero_point = -i32::from(I::INT8_OFFSET);
            let column_sums = vec![column_sum; I::LANES];
            let mut values = vec![0.0; I::LANES];
            isa.store(isa.without_zero_point(&sums, zero_point, &column_sums), &mut values);
            let expected = f64::from(self.weight) * 255.0 * MAX_INPUTS as f64;
            assert!(values.iter().all(|&value| value == expected as f32), "{values:?}");
        }
    }

    #[test]
    fn the_most_inputs_cannot_overflow() {
        for weight in [LARGEST_WEIGHT, -LARGEST_WEIGHT] {
            on_every_set(LargestSum { weight }, |_, ()| ());
        }
        let one_more = (MAX_INPUTS as i64 + 1) * i64::from(u8::MAX) * i64::from(LARGEST_WEIGHT);
        assert!(one_more > i64::from(i32::MAX));
    }
}
