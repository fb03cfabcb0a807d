//! Rows times one packed panel: the loops around a tile.

use std::ops::Range;

use super::tile::{Ahead, TileOutput, TileRows};
use super::weight::Weight;
use crate::cpu::simd::{Isa, TileShape};

/// Multiplies `rows` rows of `depth` values, which begin `input_stride` apart, by one panel. Row `r` of the result is
/// `PANEL` values from `r · output_stride` on.
///
/// `panels` begins with the panel. The memory after it is prefetched while tiles are computed, because the next panel's
/// first tile would otherwise wait for memory, which is less than half as fast as the arithmetic.
///
/// `before_tile` is called with the rows of each tile before the tile is computed for the first time.
///
/// Each output is summed in an order that depends only on `depth`.
#[inline(always)]
pub(crate) fn multiply_panel<I: Isa, W: Weight>(
    isa: I,
    (input, input_stride): (&[W::Input], usize),
    (rows, depth): (usize, usize),
    panels: &[W],
    (output, output_stride): (&mut [W::Sum], usize),
    before_tile: impl Fn(Range<usize>),
) {
    // Rows are spread evenly: a last tile of one or two rows would leave the arithmetic units waiting.
    let tiles = rows.div_ceil(W::tile_rows(TileShape::of::<I>()));
    let mut memory = W::PartMemory::default();
    for start in (0..depth).step_by(W::DEPTH_BLOCK) {
        let depth = W::DEPTH_BLOCK.min(depth - start);
        let (panel, next) = panels[start * I::PANEL..].split_at(depth * I::PANEL);
        let next = &next[..next.len().min(panel.len())];
        let mut part = W::part(panel, tiles, &mut memory);
        for tile in 0..tiles {
            // This tile's range of `count` items.
            let share = |count: usize| tile * count / tiles..(tile + 1) * count / tiles;
            let row = share(rows);
            if start == 0 {
                before_tile(row.clone());
            }
            let input = TileRows {
                values: &input[row.start * input_stride + start..],
                stride: input_stride,
                rows: row.len(),
                depth,
            };
            let output = TileOutput {
                values: &mut output[row.start * output_stride..],
                stride: output_stride,
                accumulate: start > 0,
            };
            let ahead = Ahead::new(&next[share(next.len())]);
            W::multiply_tile(isa, input, &mut part, ahead, output);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::cpu::ops::quantize::input;
    use crate::cpu::simd::bfloat::{narrow, widen};
    use crate::cpu::simd::{Kernel, on_every_set};
    use crate::testing::{assert_close, random, sizes};

    #[derive(Clone, Copy)]
    struct Multiply {
        rows: usize,
        depth: usize,
        extra_stride: usize,
    }

    impl Multiply {
        /// Compares a product with a naive float64 loop, and the values between its rows with what
        /// was there. The third argument of `check` is a bound on the sum of the absolute products.
        #[inline(always)]
        fn check<I: Isa, W: Weight>(
            self,
            isa: I,
            (input, input_value): (impl Fn(f32) -> W::Input, impl Fn(W::Input) -> f64),
            (weight, weight_value): (impl Fn(f32) -> W, impl Fn(W) -> f64),
            (initial, value): (W::Sum, impl Fn(W::Sum) -> f64),
            tolerance: f64,
        ) {
            let Self { rows, extra_stride, .. } = self;
            let group = W::group(TileShape::of::<I>());
            let depth = self.depth.next_multiple_of(group);
            let input_stride = depth + extra_stride;
            let output_stride = I::PANEL + extra_stride;
            let inputs: Vec<_> =
                random(1, (rows - 1) * input_stride + depth).into_iter().map(input).collect();
            let panel: Vec<_> = random(2, depth * I::PANEL).into_iter().map(weight).collect();
            let mut output = vec![initial; (rows - 1) * output_stride + I::PANEL];
            multiply_panel(
                isa,
                (&inputs, input_stride),
                (rows, depth),
                &panel,
                (&mut output, output_stride),
                |_| (),
            );
            for (index, &found) in output.iter().enumerate() {
                let (row, column) = (index / output_stride, index % output_stride);
                if column >= I::PANEL {
                    assert_eq!(
                        value(found),
                        value(initial),
                        "a value between the rows was overwritten"
                    );
                    continue;
                }
                let expected: f64 = (0..depth)
                    .map(|k| {
                        let (step, part) = (k / group, k % group);
                        input_value(inputs[row * input_stride + k])
                            * weight_value(panel[(step * I::PANEL + column) * group + part])
                    })
                    .sum();
                assert_close(value(found) as f32, expected, tolerance);
            }
        }
    }

    impl Kernel for Multiply {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            let float = (|x: f32| x, |x: f32| f64::from(x));
            let tolerance = 1e-6 * self.depth as f64;
            self.check::<I, f32>(isa, float, float, (7.0, f64::from), tolerance);
            let half = (f16::from_f32, |x: f16| f64::from(x));
            self.check::<I, f16>(isa, float, half, (7.0, f64::from), tolerance);
        }
    }

    /// Rows of f16 products, in one tile or several.
    #[derive(Clone, Copy)]
    struct HalfBits;

    impl Kernel for HalfBits {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            for depth in [5, 256, 300] {
                let rows = 2 * I::TILE_ROWS + 1;
                let input = random(1, rows * depth);
                let panel: Vec<_> =
                    random(2, depth * I::PANEL).into_iter().map(f16::from_f32).collect();
                let product = |input: &[f32]| {
                    let rows = input.len() / depth;
                    let mut output = vec![0.0; rows * I::PANEL];
                    let to = (&mut output[..], I::PANEL);
                    multiply_panel(isa, (input, depth), (rows, depth), &panel, to, |_| ());
                    output
                };
                let alone = input.chunks_exact(depth).map(product);
                assert_eq!(product(&input), alone.collect::<Vec<_>>().concat());
            }
        }
    }

    #[test]
    fn weights_that_are_widened_once_give_the_same_bits() {
        on_every_set(HalfBits, |_, ()| ());
    }

    #[derive(Clone, Copy)]
    struct MultiplyBf16(Multiply);

    impl Kernel for MultiplyBf16 {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            let pair = (narrow, |x: bf16| f64::from(widen(x)));
            let tolerance = 1e-6 * self.0.depth as f64;
            self.0.check::<I, bf16>(isa, pair, pair, (7.0, f64::from), tolerance);
        }
    }

    /// Every number of rows that a tile of bf16 can have.
    #[derive(Clone, Copy)]
    struct EveryBf16Tile;

    impl Kernel for EveryBf16Tile {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            for (depth, extra_stride) in [(1, 3), (5, 0), (33, 3), (769, 0)] {
                let step = if depth < 64 { 1 } else { I::BF16_TILE_ROWS.div_ceil(12) };
                for rows in (1..=I::BF16_TILE_ROWS).rev().step_by(step) {
                    MultiplyBf16(Multiply { rows, depth, extra_stride }).eval(isa);
                }
            }
        }
    }

    /// Integers at and near the ends of their ranges.
    #[derive(Clone, Copy)]
    struct MultiplyInt8(Multiply);

    impl Kernel for MultiplyInt8 {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            let input = (|x: f32| (x * 400.0 + 128.0) as u8, |x: u8| f64::from(input::<I>(x)));
            let weight = (|x: f32| (x * 200.0).clamp(-63.0, 63.0) as i8, |x: i8| f64::from(x));
            self.0.check::<I, i8>(isa, input, weight, (7, f64::from), 0.0);
        }
    }

    /// Every number of rows that a tile can have, and a dozen of them at depths of more than one block.
    #[derive(Clone, Copy)]
    struct EveryTile;

    impl Kernel for EveryTile {
        type Output = ();

        #[inline(always)]
        fn eval<I: Isa>(self, isa: I) {
            let rows = |tile_rows: usize, depth: usize| {
                let step = if depth < 64 { 1 } else { tile_rows.div_ceil(12) };
                (1..=tile_rows).rev().step_by(step)
            };
            for (depth, extra_stride) in [(1, 3), (2, 0), (7, 3), (33, 0), (257, 3)] {
                for rows in rows(I::TILE_ROWS, depth) {
                    Multiply { rows, depth, extra_stride }.eval(isa);
                }
            }
            for (depth, extra_stride) in [(1, 3), (5, 0), (33, 3), (769, 0)] {
                for rows in rows(I::INT8_TILE_ROWS, depth) {
                    MultiplyInt8(Multiply { rows, depth, extra_stride }).eval(isa);
                }
            }
        }
    }

    #[test]
    fn tiles_of_any_number_of_rows_match_float64() {
        on_every_set(EveryTile, |_, ()| ());
    }

    #[test]
    fn products_of_every_size_match_float64() {
        for rows in sizes((1..=13).chain([24, 25, 48, 49, 50]), [5, 25, 49]) {
            for depth in sizes((1..=33).chain([64, 255, 256, 257, 513, 768]), [64, 513]) {
                for extra_stride in [0, 3] {
                    on_every_set(Multiply { rows, depth, extra_stride }, |_, ()| ());
                }
            }
        }
    }

    #[test]
    fn products_of_bf16_match_float64() {
        on_every_set(EveryBf16Tile, |_, ()| ());
        for rows in sizes((1..=13).chain([24, 25, 48, 49, 50]), [5, 49]) {
            for depth in sizes((1..=33).chain([64, 383, 384, 385, 768]), [64, 513]) {
                let product = Multiply { rows, depth, extra_stride: 3 };
                on_every_set(MultiplyBf16(product), |_, ()| ());
            }
        }
    }

    #[test]
    fn integer_products_of_every_size_are_exact() {
        for rows in sizes((1..=13).chain([24, 25, 48, 49, 50]), [5, 25, 49]) {
            for depth in sizes((1..=33).chain([64, 767, 768, 769, 1540]), [64, 769]) {
                for extra_stride in [0, 3] {
                    let product = Multiply { rows, depth, extra_stride };
                    on_every_set(MultiplyInt8(product), |_, ()| ());
                }
            }
        }
    }
}
