//! 8-bit linear layers: inputs are rounded for each token, weights for each output.

use crate::cpu::gemm::tile::{Ahead, TileOutput, TileRows};
use crate::cpu::gemm::weight::{Rows, Weight};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::embeddings::Int8Table;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::{Isa, Kernel};
use crate::model::matrix::{BadWeight, Matrix};
use crate::quantization::{LARGEST_WEIGHT, inverse, read_row, step};

/// Values of one task: some microseconds.
const TASK_VALUES: usize = 32 * 1024;

/// Tokens' vectors in 8 bits, less [`Isa::INT8_OFFSET`]: as [`input`] reads it, value `i` of a row stands
/// for `(values[i] − zero_point) · scale`.
#[derive(Default)]
pub(crate) struct QuantizedRows {
    values: AlignedVec<u8>,
    stride: usize,
    /// Scale and zero point of each row; the latter is a whole number from 0 to 255, less the offset too.
    rows: AlignedVec,
}

impl QuantizedRows {
    /// Makes room for `count` rows of `depth` values.
    pub fn resize(&mut self, count: usize, depth: usize) {
        self.stride = depth;
        self.values.resize(count * depth);
        self.rows.resize(count * 2);
    }

    /// Rounds rows of `stride` values.
    fn quantize<I: Isa>(&mut self, isa: I, team: &Team, rows: Rows<'_>, len: usize) {
        let depth = self.stride;
        let task_rows = TASK_VALUES.div_ceil(depth);
        let (values, scales) = (Parts::new(&mut self.values), Parts::new(&mut self.rows));
        team.for_each(rows.count.div_ceil(task_rows), |_, task| {
            for row in task * task_rows..rows.count.min((task + 1) * task_rows) {
                // SAFETY: each task takes the parts of its own rows.
                let (to, row_scale) = unsafe {
                    (values.part(row * depth..(row + 1) * depth), scales.part(2 * row..2 * row + 2))
                };
                let from = &rows.values[row * rows.stride..][..len];
                let RowScale { scale, zero_point } = isa.run(Quantize { from, to });
                row_scale.copy_from_slice(&[scale, zero_point]);
            }
        });
    }

    /// The values that a row's bytes stand for.
    #[cfg(feature = "kernels")]
    pub fn read_row<I: Isa>(&self, _: I, row: usize, to: &mut [f32]) {
        let RowScale { scale, zero_point } = self.row(row);
        for (to, &value) in to.iter_mut().zip(&self.values[row * self.stride..]) {
            *to = (input::<I>(value) as f32 - zero_point) * scale;
        }
    }

    fn row(&self, row: usize) -> RowScale {
        RowScale { scale: self.rows[2 * row], zero_point: self.rows[2 * row + 1] }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct RowScale {
    scale: f32,
    zero_point: f32,
}

/// The number that instructions take an 8-bit input for.
#[cfg(any(test, feature = "kernels"))]
#[inline(always)]
pub(crate) fn input<I: Isa>(byte: u8) -> i32 {
    i32::from(byte.wrapping_add(I::INT8_OFFSET)) - i32::from(I::INT8_OFFSET)
}

/// Rounds one row; what `to` has past it becomes zero.
#[derive(Clone, Copy)]
struct Quantize<'a, T> {
    from: &'a [f32],
    to: T,
}

impl Kernel for Quantize<'_, &mut [u8]> {
    type Output = RowScale;

    /// The range from the least to the largest value, zero included, becomes 0 to 255, so that zero is
    /// expressed exactly.
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> RowScale {
        const LARGEST: f32 = u8::MAX as f32;
        let Self { from, to } = self;
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
        RowScale { scale, zero_point: zero_point - f32::from(I::INT8_OFFSET) }
    }
}

/// What the sum of a packed column needs to become a value.
#[derive(Clone, Copy, Default)]
pub(crate) struct Int8Column {
    scale: f32,
    /// The sum of the column's weights.
    sum: i32,
}

/// Those of all columns.
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
    type Column = Int8Column;
    type Columns = Int8Columns;
    type Scales<'a, I: Isa> = (I::F32, &'a [i32]);
    type Rows<'a> = &'a QuantizedRows;
    type Table = Int8Table;

    fn read_row(
        matrix: &Matrix<'_>,
        row: usize,
        floats: &mut [f32],
        to: &mut [i8],
    ) -> Result<Int8Column, BadWeight> {
        let scale = read_row(matrix, row, LARGEST_WEIGHT, floats, to)?;
        Ok(Int8Column { scale, sum: to.iter().copied().map(i32::from).sum() })
    }

    fn from_rows<'a, I: Isa>(
        isa: I,
        team: &Team,
        rows: Rows<'a>,
        depth: usize,
        quantized: &'a mut QuantizedRows,
    ) -> &'a QuantizedRows {
        quantized.resize(rows.count, depth.next_multiple_of(I::INT8_GROUP));
        quantized.quantize(isa, team, rows, depth);
        quantized
    }

    fn group<I: Isa>() -> usize {
        I::INT8_GROUP
    }

    fn tile_rows<I: Isa>() -> usize {
        I::INT8_TILE_ROWS
    }

    #[inline(always)]
    fn inputs<'a>(rows: &'a &QuantizedRows, first_row: usize) -> (&'a [u8], usize) {
        (&rows.values[first_row * rows.stride..], rows.stride)
    }

    #[inline(always)]
    fn tile<I: Isa>(
        isa: I,
        input: TileRows<'_, u8>,
        panel: &[i8],
        ahead: Ahead<'_>,
        output: TileOutput<'_, i32>,
    ) {
        isa.tile_int8(input, panel, ahead, output);
    }

    #[inline(always)]
    fn scales<I: Isa>(isa: I, columns: &Int8Columns, column: usize) -> Self::Scales<'_, I> {
        (isa.load(&columns.scales[column..]), &columns.sums[column..column + I::LANES])
    }

    /// `scale · column's scale · (sum − zero point · column's sum)`
    #[inline(always)]
    fn value<I: Isa>(
        isa: I,
        sums: &[i32],
        rows: &QuantizedRows,
        row: usize,
        (column_scales, column_sums): Self::Scales<'_, I>,
    ) -> I::F32 {
        let RowScale { scale, zero_point } = rows.row(row);
        let sum = isa.without_zero_point(sums, zero_point as i32, column_sums);
        isa.mul(sum, isa.mul(isa.splat(scale), column_scales))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::on_every_set;
    use crate::testing::random;

    impl Kernel for Quantize<'_, ()> {
        type Output = (RowScale, Vec<u8>);

        fn run<I: Isa>(self, isa: I) -> Self::Output {
            let len = self.from.len();
            let mut to = vec![9; len.next_multiple_of(I::INT8_GROUP)];
            let RowScale { scale, zero_point } =
                isa.run(Quantize { from: self.from, to: to.as_mut_slice() });
            assert!(to[len..].iter().all(|&padding| padding == 0));
            // What every set makes of the row, whatever the offset.
            let zero_point = zero_point + f32::from(I::INT8_OFFSET);
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
            on_every_set(Quantize { from: &row, to: () }, |set, found| {
                let (RowScale { scale, zero_point }, values) = &found;
                for (&value, &quantized) in row.iter().zip(values) {
                    let back = (f32::from(quantized) - zero_point) * scale;
                    let step = scale * 0.5001 + 1e-43;
                    assert!((value - back).abs() <= step, "{value} became {back} on {set}");
                }
                assert_eq!(*first.get_or_insert(found.clone()), found, "{set}");
            });
        }
    }
}
