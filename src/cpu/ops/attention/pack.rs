//! Keys and values as panels.

use std::ops::Range;

use crate::cpu::gemm::rows::Rows;
use crate::cpu::simd::{Isa, SQUARE};

/// Packs keys as panels of `PANEL` keys each: step `d` holds value `d` of every key. Keys past the last are zero.
#[inline(always)]
pub(crate) fn pack_keys<I: Isa>(
    isa: I,
    panels: &mut [f32],
    key: Rows<'_>,
    tokens: Range<usize>,
    columns: Range<usize>,
) {
    let size = I::PANEL * columns.len();
    for (panel, first) in panels.chunks_exact_mut(size).zip(tokens.clone().step_by(I::PANEL)) {
        let keys = I::PANEL.min(tokens.end - first);
        if keys < I::PANEL {
            panel.fill(0.0);
        }
        let rows = &key.values[first * key.stride + columns.start..];
        transpose(isa, (rows, key.stride), (keys, columns.len()), (panel, I::PANEL));
    }
}

/// Writes rows as columns: value `c` of row `r` goes to `to[c · to_stride + r]`.
#[inline(always)]
pub(crate) fn transpose<I: Isa>(
    isa: I,
    (from, from_stride): (&[f32], usize),
    (rows, columns): (usize, usize),
    (to, to_stride): (&mut [f32], usize),
) {
    let in_squares = columns - columns % SQUARE;
    for square in (0..rows).step_by(SQUARE) {
        let square_rows = SQUARE.min(rows - square);
        let from = &from[square * from_stride..];
        let transposed = if square_rows == SQUARE { in_squares } else { 0 };
        for column in (0..transposed).step_by(SQUARE) {
            let to = &mut to[column * to_stride + square..];
            isa.transpose_square(&from[column..], from_stride, to, to_stride);
        }
        for row in 0..square_rows {
            for column in transposed..columns {
                to[column * to_stride + square + row] = from[row * from_stride + column];
            }
        }
    }
}

/// Packs values as panels of `PANEL` columns each: step `t` holds them for token `t`. Columns past the last are zero.
#[inline(always)]
pub(crate) fn pack_values<I: Isa>(
    panels: &mut [f32],
    value: Rows<'_>,
    tokens: Range<usize>,
    columns: Range<usize>,
) {
    let size = I::PANEL * tokens.len();
    for (panel, first) in panels.chunks_exact_mut(size).zip(columns.clone().step_by(I::PANEL)) {
        let width = I::PANEL.min(columns.end - first);
        for (step, token) in panel.chunks_exact_mut(I::PANEL).zip(tokens.clone()) {
            let row = token * value.stride + first;
            step[..width].copy_from_slice(&value.values[row..row + width]);
            step[width..].fill(0.0);
        }
    }
}
