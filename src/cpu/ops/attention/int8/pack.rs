//! Queries, keys and values of a head in 8 bits.

use std::ops::Range;
use std::slice::ChunksExact;

use crate::cpu::gemm::rows::Rows;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::QUERY_BLOCK;
use crate::cpu::simd::lanes::{load_at, starts, store_at};
use crate::cpu::simd::{Isa, TileShape};
use crate::quantization::{LARGEST_WEIGHT, inverse, step};

/// Largest magnitude of a query's values.
const LARGEST_QUERY: f32 = 127.0;

/// Largest magnitude of a key's or a value's.
const LARGEST: f32 = LARGEST_WEIGHT as f32;

/// Byte that stands for zero in signed values, before the set's offset is subtracted.
const ZERO: u8 = 128;

/// Rounds values from −127 to 127 and writes them as bytes: plus [`ZERO`], minus the set's offset.
#[inline(always)]
fn store_signed<I: Isa>(isa: I, values: I::F32, to: &mut [u8]) {
    isa.store_rounded(isa.add(values, isa.splat(f32::from(ZERO))), to);
}

/// Returns the integer that [`store_signed`] has written as this byte.
#[inline(always)]
fn signed<I: Isa>(byte: u8) -> i8 {
    byte.wrapping_add(I::INT8_OFFSET).wrapping_sub(ZERO) as i8
}

/// Returns the larger of each value's magnitude and `extent`.
#[inline(always)]
fn extended<I: Isa>(isa: I, extent: I::F32, value: I::F32) -> I::F32 {
    isa.max(extent, isa.max(value, isa.sub(isa.splat(0.0), value)))
}

/// A block of queries.
#[derive(Default)]
pub(super) struct Queries {
    /// In rows `stride` apart.
    bytes: AlignedVec<u8>,
    stride: usize,
    depth: usize,
    factors: AlignedVec,
}

impl Queries {
    pub fn resize(&mut self, shape: TileShape, head_size: usize) {
        self.depth = head_size.next_multiple_of(shape.int8_group);
        self.stride = self.depth.next_multiple_of(shape.panel);
        self.bytes.resize(QUERY_BLOCK * self.stride);
        self.factors.resize(QUERY_BLOCK);
    }

    /// Returns the queries as tiles read them.
    pub fn rows(&self) -> (&[u8], usize) {
        (&self.bytes, self.stride)
    }

    /// Returns the number of bytes of a query.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns a query's scale, times the factor that turns a score into the exponent of a power of two.
    pub fn factor(&self, row: usize) -> f32 {
        self.factors[row]
    }

    /// Quantizes some rows.
    #[inline(always)]
    pub fn pack<I: Isa>(
        &mut self,
        isa: I,
        query: Rows<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let score_scale = std::f32::consts::LOG2_E / (columns.len() as f32).sqrt();
        let each = self.bytes.chunks_exact_mut(self.stride).zip(self.factors.iter_mut());
        for (row, (bytes, factor)) in rows.zip(each) {
            let values = query.columns(row, columns.clone());
            let mut extent = isa.splat(0.0);
            for at in starts(isa, values.len()) {
                extent = extended(isa, extent, load_at(isa, values, at));
            }
            let scale = step(isa.largest(extent), LARGEST_QUERY);
            *factor = scale * score_scale;
            let inverse = isa.splat(inverse(scale));
            for at in starts(isa, values.len()) {
                store_signed(isa, isa.mul(load_at(isa, values, at), inverse), &mut bytes[at..]);
            }
        }
    }
}

/// A head's keys, less their mean.
#[derive(Default)]
pub(super) struct Keys {
    /// Panels of keys.
    panels: AlignedVec<i8>,
    scales: AlignedVec,
    /// Contribution of the queries' zero point to each key's sums.
    biases: AlignedVec<i32>,
    mean: AlignedVec,
    /// One key, as bytes and as weights.
    bytes: AlignedVec<u8>,
    weights: AlignedVec<i8>,
}

impl Keys {
    pub fn resize(&mut self, shape: TileShape, tokens: usize, head_size: usize) {
        let keys = tokens.next_multiple_of(shape.panel);
        self.panels.resize(keys * head_size.next_multiple_of(shape.int8_group));
        self.scales.resize(keys);
        self.biases.resize(keys);
        let columns = head_size.next_multiple_of(shape.panel);
        self.mean.resize(columns);
        self.bytes.resize(columns);
        self.weights.resize(columns);
    }

    /// Returns the panels, which have this size.
    pub fn panels(&self, size: usize) -> ChunksExact<'_, i8> {
        self.panels.chunks_exact(size)
    }

    /// Returns each key's scale, and what to subtract from its sums first. Those of keys past the last make the score
    /// −∞.
    pub fn scales(&self) -> (&[f32], &[i32]) {
        (&self.scales, &self.biases)
    }

    /// Quantizes keys and packs them in panels of `PANEL` keys: a step holds a group of each key's values. Keys past
    /// the last are zero.
    #[inline(always)]
    pub fn pack<I: Isa>(
        &mut self,
        isa: I,
        key: Rows<'_>,
        tokens: Range<usize>,
        columns: Range<usize>,
    ) {
        self.average(isa, key, tokens.clone(), columns.clone());
        let Self { panels, scales, biases, mean, bytes, weights } = self;
        let depth = columns.len().next_multiple_of(I::INT8_GROUP);
        let scales = scales.chunks_exact_mut(I::PANEL).zip(biases.chunks_exact_mut(I::PANEL));
        let each = panels.chunks_exact_mut(I::PANEL * depth).zip(scales);
        for ((panel, (scales, biases)), first) in each.zip(tokens.clone().step_by(I::PANEL)) {
            let keys = I::PANEL.min(tokens.end - first);
            if keys < I::PANEL {
                panel.fill(0);
                scales[keys..].fill(f32::INFINITY);
                biases[keys..].fill(1);
            }
            for index in 0..keys {
                let values = key.columns(first + index, columns.clone());
                scales[index] = quantize_key(isa, values, mean, bytes);
                let mut sum = 0;
                for (weight, &byte) in weights[..depth].iter_mut().zip(&bytes[..depth]) {
                    *weight = signed::<I>(byte);
                    sum += i32::from(*weight);
                }
                biases[index] = i32::from(ZERO.wrapping_sub(I::INT8_OFFSET)) * sum;
                let steps = panel.chunks_exact_mut(I::PANEL * I::INT8_GROUP);
                for (step, group) in steps.zip(weights.chunks_exact(I::INT8_GROUP)) {
                    step[index * I::INT8_GROUP..][..I::INT8_GROUP].copy_from_slice(group);
                }
            }
        }
    }

    /// Computes the mean of the keys.
    #[inline(always)]
    fn average<I: Isa>(
        &mut self,
        isa: I,
        key: Rows<'_>,
        tokens: Range<usize>,
        columns: Range<usize>,
    ) {
        let share = isa.splat(1.0 / tokens.len() as f32);
        for at in starts(isa, columns.len()) {
            let mut sum = isa.splat(0.0);
            for token in tokens.clone() {
                sum = isa.add(sum, load_at(isa, key.columns(token, columns.clone()), at));
            }
            isa.store(isa.mul(sum, share), &mut self.mean[at..]);
        }
    }
}

/// Quantizes one key less the mean, and returns its scale.
#[inline(always)]
fn quantize_key<I: Isa>(isa: I, values: &[f32], mean: &[f32], to: &mut [u8]) -> f32 {
    let mut extent = isa.splat(0.0);
    for at in starts(isa, values.len()) {
        let value = isa.sub(load_at(isa, values, at), isa.load(&mean[at..]));
        extent = extended(isa, extent, value);
    }
    let scale = step(isa.largest(extent), LARGEST);
    let inverse = isa.splat(inverse(scale));
    for at in starts(isa, values.len()) {
        let value = isa.sub(load_at(isa, values, at), isa.load(&mean[at..]));
        store_signed(isa, isa.mul(value, inverse), &mut to[at..]);
    }
    scale
}

/// A head's values, less the center of each column's range.
#[derive(Default)]
pub(super) struct Values {
    /// Panels of columns.
    panels: AlignedVec<i8>,
    centers: AlignedVec,
    scales: AlignedVec,
    /// Inverse scales.
    inverses: AlignedVec,
    /// Contribution of the set's offset to each column's sums.
    biases: AlignedVec<i32>,
    /// A group of tokens, in rows of whole panels.
    bytes: AlignedVec<u8>,
}

impl Values {
    pub fn resize(&mut self, shape: TileShape, tokens: usize, head_size: usize) {
        let columns = head_size.next_multiple_of(shape.panel);
        self.panels.resize(tokens.next_multiple_of(shape.int8_group) * columns);
        for values in [&mut self.centers, &mut self.scales, &mut self.inverses] {
            values.resize(columns);
        }
        self.biases.resize(columns);
        self.bytes.resize(shape.int8_group * columns);
    }

    /// Returns the panels, which have this size.
    pub fn panels(&self, size: usize) -> ChunksExact<'_, i8> {
        self.panels.chunks_exact(size)
    }

    /// Quantizes values and packs them in panels of `PANEL` columns: a step holds those of a group of tokens, side by
    /// side for each column. Tokens past the last are zero.
    #[inline(always)]
    pub fn pack<I: Isa>(
        &mut self,
        isa: I,
        value: Rows<'_>,
        tokens: Range<usize>,
        columns: Range<usize>,
    ) {
        self.measure(isa, value, tokens.clone(), columns.clone());
        let Self { panels, centers, inverses, biases, bytes, .. } = self;
        let width = columns.len().next_multiple_of(I::PANEL);
        let depth = tokens.len().next_multiple_of(I::INT8_GROUP);
        biases.fill(0);
        for (step, first) in tokens.clone().step_by(I::INT8_GROUP).enumerate() {
            for (token, bytes) in (first..).zip(bytes.chunks_exact_mut(width)) {
                if token >= tokens.end {
                    bytes.fill(0);
                    continue;
                }
                let values = value.columns(token, columns.clone());
                for at in starts(isa, values.len()) {
                    let value = isa.sub(load_at(isa, values, at), isa.load(&centers[at..]));
                    store_signed(isa, isa.mul(value, isa.load(&inverses[at..])), &mut bytes[at..]);
                }
                let bytes = &mut bytes[..values.len().next_multiple_of(I::LANES)];
                for byte in &mut *bytes {
                    *byte = signed::<I>(*byte) as u8;
                }
                if I::INT8_OFFSET > 0 {
                    for (bias, &byte) in biases.iter_mut().zip(&*bytes) {
                        *bias -= i32::from(I::INT8_OFFSET) * i32::from(byte as i8);
                    }
                }
            }
            for (panel, first) in
                panels.chunks_exact_mut(I::PANEL * depth).zip((0..).step_by(I::PANEL))
            {
                let size = I::PANEL * I::INT8_GROUP;
                interleave::<I>(&bytes[first..], width, &mut panel[step * size..][..size]);
            }
        }
    }

    /// Computes the centers and the scales.
    #[inline(always)]
    fn measure<I: Isa>(
        &mut self,
        isa: I,
        value: Rows<'_>,
        tokens: Range<usize>,
        columns: Range<usize>,
    ) {
        let least_step = isa.splat(f32::MIN_POSITIVE);
        for at in starts(isa, columns.len()) {
            let mut least = isa.splat(f32::INFINITY);
            let mut largest = isa.splat(f32::NEG_INFINITY);
            for token in tokens.clone() {
                let value = load_at(isa, value.columns(token, columns.clone()), at);
                least = isa.min(least, value);
                largest = isa.max(largest, value);
            }
            let center = isa.mul(isa.add(least, largest), isa.splat(0.5));
            let extent = isa.max(isa.sub(largest, center), isa.sub(center, least));
            let scale = isa.div(extent, isa.splat(LARGEST));
            let inverse = isa.div(isa.splat(1.0), scale);
            isa.store(center, &mut self.centers[at..]);
            // A range that is too small to divide by becomes its center.
            isa.store(isa.keep_if_less(least_step, scale, scale), &mut self.scales[at..]);
            isa.store(isa.keep_if_less(least_step, scale, inverse), &mut self.inverses[at..]);
        }
    }

    /// Turns one query's weighted sums of the columns from `first` on, and one over its sum of probabilities, into
    /// averages.
    #[inline(always)]
    pub fn average<I: Isa>(
        &self,
        isa: I,
        sums: &[i32],
        (first, share): (usize, f32),
        to: &mut [f32],
    ) {
        let share = isa.splat(share);
        let (scales, centers) = (&self.scales[first..], &self.centers[first..]);
        let biases = &self.biases[first..];
        for at in starts(isa, to.len()) {
            let sum = isa.without_zero_point(&sums[at..], 1, &biases[at..]);
            let scale = isa.mul(isa.load(&scales[at..]), share);
            let average = isa.mul_add(sum, scale, isa.load(&centers[at..]));
            store_at(isa, average, to, at);
        }
    }
}

/// Writes the first `PANEL` columns of a group's rows, `width` apart, side by side for each column.
#[inline(always)]
fn interleave<I: Isa>(rows: &[u8], width: usize, to: &mut [i8]) {
    /// Bytes that are combined at once: every group is a multiple.
    const PART: usize = 4;
    for part in (0..I::INT8_GROUP).step_by(PART) {
        let [a, b, c, d]: [&[u8]; PART] =
            std::array::from_fn(|row| &rows[(part + row) * width..][..I::PANEL]);
        let groups = to.chunks_exact_mut(I::INT8_GROUP);
        for ((((group, &a), &b), &c), &d) in groups.zip(a).zip(b).zip(c).zip(d) {
            for (to, byte) in group[part..part + PART].iter_mut().zip([a, b, c, d]) {
                *to = byte as i8;
            }
        }
    }
}
