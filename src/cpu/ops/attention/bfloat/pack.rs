//! Queries, keys and values in bf16, in groups as products read them.

use std::ops::Range;

use half::bf16;

use crate::cpu::gemm::rows::Rows;
use crate::cpu::simd::bfloat::{narrow, narrow_row};
use crate::cpu::simd::{Isa, MAX_PANEL};

/// Largest number of inputs of a step on any set.
const MAX_GROUP: usize = 4;

/// Rounds a head's part of some rows to bf16, `depth` values apart. Values past the head are zero.
#[inline(always)]
pub(super) fn narrow_rows(
    to: &mut [bf16],
    depth: usize,
    from: Rows<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    for (row, to) in rows.zip(to.chunks_exact_mut(depth)) {
        let (values, rest) = to.split_at_mut(columns.len());
        narrow_row(&from.values[row * from.stride..][columns.clone()], values);
        rest.fill(bf16::ZERO);
    }
}

/// Packs keys as panels of `PANEL` keys each: a step holds the values of a group for every key. Keys past the last, and
/// values past the head, are zero. `row` is memory for a key.
#[inline(always)]
pub(super) fn pack_keys<I: Isa>(
    (panels, row): (&mut [bf16], &mut [bf16]),
    key: Rows<'_>,
    tokens: Range<usize>,
    columns: Range<usize>,
) {
    let depth = columns.len().next_multiple_of(I::BF16_GROUP);
    let each = panels.chunks_exact_mut(I::PANEL * depth);
    for (panel, first) in each.zip(tokens.clone().step_by(I::PANEL)) {
        let keys = first..tokens.end.min(first + I::PANEL);
        if keys.len() < I::PANEL {
            panel.fill(bf16::ZERO);
        }
        for (column, token) in keys.enumerate() {
            narrow_rows(row, depth, key, token..token + 1, columns.clone());
            match I::BF16_GROUP {
                2 => scatter::<2>(&row[..depth], panel, column, I::PANEL),
                _ => scatter::<4>(&row[..depth], panel, column, I::PANEL),
            }
        }
    }
}

/// Writes a row's groups to a column of a panel, whose steps are `width` groups.
#[inline(always)]
fn scatter<const GROUP: usize>(row: &[bf16], panel: &mut [bf16], column: usize, width: usize) {
    let steps = panel.as_chunks_mut::<GROUP>().0.chunks_exact_mut(width);
    for (group, step) in row.as_chunks::<GROUP>().0.iter().zip(steps) {
        step[column] = *group;
    }
}

/// Packs values as panels of `PANEL` columns each: a step holds the values of a group of tokens for every column.
/// Columns and tokens past the last are zero.
#[inline(always)]
pub(super) fn pack_values<I: Isa>(
    panels: &mut [bf16],
    value: Rows<'_>,
    tokens: Range<usize>,
    columns: Range<usize>,
) {
    const { assert!(matches!(I::BF16_GROUP, 2 | MAX_GROUP) && I::PANEL <= MAX_PANEL) };
    let zeros = [0.0; MAX_PANEL];
    let size = I::PANEL * tokens.len().next_multiple_of(I::BF16_GROUP);
    let step = I::PANEL * I::BF16_GROUP;
    for (panel, first) in panels.chunks_exact_mut(size).zip(columns.clone().step_by(I::PANEL)) {
        let width = I::PANEL.min(columns.end - first);
        let steps = panel.chunks_exact_mut(step);
        for (to, token) in steps.zip(tokens.clone().step_by(I::BF16_GROUP)) {
            let mut rows = [&zeros[..width]; MAX_GROUP];
            let group = token..tokens.end.min(token + I::BF16_GROUP);
            for (row, token) in rows.iter_mut().zip(group) {
                *row = &value.values[token * value.stride + first..][..width];
            }
            let (values, rest) = to.split_at_mut(width * I::BF16_GROUP);
            let [a, b, c, d] = rows;
            match I::BF16_GROUP {
                2 => interleave([a, b], values),
                _ => interleave([a, b, c, d], values),
            }
            rest.fill(bf16::ZERO);
        }
    }
}

/// Writes one value of each row in turn, rounded.
#[inline(always)]
fn interleave<const GROUP: usize>(rows: [&[f32]; GROUP], to: &mut [bf16]) {
    for (column, to) in to.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
        for (to, row) in to.iter_mut().zip(rows) {
            *to = narrow(row[column]);
        }
    }
}
