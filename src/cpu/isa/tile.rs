//! Rows times one packed panel: the loops around the innermost step, and its operands, checked once
//! so that kernels need not.

use super::{DEPTH_BLOCK, Isa};
use crate::cpu::weight::Weight;

/// The most bytes that are fetched ahead before a tile. With few rows, and so few tiles, more
/// at once would queue before the loads that the tile waits for: 8 rows through the 6×768 size take
/// 11.1 ms with AVX-512, 14.5 ms without the limit.
const FETCH_AHEAD: usize = 8 << 10;

/// Multiplies `rows` rows of `depth` values, which begin `input_stride` apart, by one panel. Row `r`
/// of the result is `PANEL` values from `r · output_stride` on.
///
/// `panels` begins with the panel. What follows it is fetched ahead while the rows pass by, since its
/// turn comes next: a panel's first tile would otherwise wait for memory, which delivers it at less
/// than half the speed of the arithmetic.
///
/// Each output is summed in an order that depends on `depth` alone.
#[inline(always)]
pub(crate) fn multiply<I: Isa, W: Weight>(
    isa: I,
    (input, input_stride): (&[f32], usize),
    (rows, depth): (usize, usize),
    (panels, buffer): (&[W], &mut W::Buffer),
    (output, output_stride): (&mut [f32], usize),
) {
    // Rows are spread evenly: a last tile of one or two rows would leave the arithmetic units waiting.
    let tiles = rows.div_ceil(I::TILE_ROWS);
    let first_of = |tile: usize| tile * rows / tiles;
    for start in (0..depth).step_by(DEPTH_BLOCK) {
        let depth = DEPTH_BLOCK.min(depth - start);
        let (panel, next) = panels[start * I::PANEL..].split_at(depth * I::PANEL);
        let mut next = next[..next.len().min(panel.len())]
            .chunks(panel.len().div_ceil(tiles).min(FETCH_AHEAD / size_of::<W>()));
        let panel = W::widen(isa, panel, buffer);
        for tile in 0..tiles {
            isa.prefetch(next.next().unwrap_or_default());
            let first_row = first_of(tile);
            isa.tile(
                Tile::new(
                    &input[first_row * input_stride + start..],
                    input_stride,
                    first_of(tile + 1) - first_row,
                    depth,
                    panel,
                ),
                TileOutput {
                    values: &mut output[first_row * output_stride..],
                    stride: output_stride,
                    accumulate: start > 0,
                },
            );
        }
    }
}

/// Some rows of the left operand and one packed panel of the right one.
///
/// A panel holds `depth` steps of `panel.len() / depth` columns each: step `k` is what row `k` of
/// the right operand has in the panel's columns.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    input: &'a [f32],
    input_stride: usize,
    rows: usize,
    depth: usize,
    panel: &'a [f32],
}

/// Where a tile's rows go: `rows` runs of one panel's width, `stride` apart.
pub(crate) struct TileOutput<'a> {
    values: &'a mut [f32],
    stride: usize,
    accumulate: bool,
}

impl<'a> Tile<'a> {
    /// `rows` rows of `depth` values that begin `input_stride` apart in `input`, times `panel`.
    #[inline(always)]
    fn new(
        input: &'a [f32],
        input_stride: usize,
        rows: usize,
        depth: usize,
        panel: &'a [f32],
    ) -> Self {
        assert!(rows > 0 && depth > 0, "a tile has rows and a depth");
        assert!(input.len() >= (rows - 1) * input_stride + depth, "the rows reach past the input");
        Self { input, input_stride, rows, depth, panel }
    }

    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Holds all rows, as [`new`](Self::new) has checked.
    #[inline(always)]
    pub fn input(&self) -> &'a [f32] {
        self.input
    }

    #[inline(always)]
    pub fn input_stride(&self) -> usize {
        self.input_stride
    }

    /// The panel, checked to be `depth` steps of `width` columns.
    #[inline(always)]
    pub fn panel(&self, width: usize) -> &'a [f32] {
        assert_eq!(self.panel.len(), self.depth * width, "the panel has another depth");
        self.panel
    }
}

impl<'a> TileOutput<'a> {
    #[inline(always)]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Whether the products are added to what the output holds.
    #[inline(always)]
    pub fn accumulate(&self) -> bool {
        self.accumulate
    }

    /// The values, checked to hold `rows` runs of `width`.
    #[inline(always)]
    pub fn values(self, rows: usize, width: usize) -> &'a mut [f32] {
        assert!(self.stride >= width, "the rows overlap");
        assert!(
            self.values.len() >= (rows - 1) * self.stride + width,
            "the tile reaches past the output"
        );
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::isa::{Isa, Kernel, on_every_set};
    use crate::testing::{assert_close, random};

    #[derive(Clone, Copy)]
    struct Multiply {
        rows: usize,
        depth: usize,
        extra_stride: usize,
    }

    impl Kernel for Multiply {
        type Output = ();

        /// Compares a tile with a naive float64 loop, and the values between its rows with what
        /// was there.
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let Self { rows, depth, extra_stride } = self;
            let input_stride = depth + extra_stride;
            let output_stride = I::PANEL + extra_stride;
            let input = random(1, (rows - 1) * input_stride + depth);
            let panel = random(2, depth * I::PANEL);
            let mut output = vec![7.0; (rows - 1) * output_stride + I::PANEL];
            multiply(
                isa,
                (&input, input_stride),
                (rows, depth),
                (&panel, &mut ()),
                (&mut output, output_stride),
            );
            for (index, &found) in output.iter().enumerate() {
                let (row, column) = (index / output_stride, index % output_stride);
                if column >= I::PANEL {
                    assert_eq!(found, 7.0, "a value between the rows was overwritten");
                    continue;
                }
                let expected: f64 = (0..depth)
                    .map(|k| {
                        f64::from(input[row * input_stride + k])
                            * f64::from(panel[k * I::PANEL + column])
                    })
                    .sum();
                assert_close(found, expected, 1e-6 * depth as f64);
            }
        }
    }

    #[test]
    fn products_of_every_size_match_float64() {
        for rows in (1..=7).chain([12, 13, 48, 49, 50]) {
            for depth in (1..=33).chain([64, 255, 256, 257, 513, 768]) {
                for extra_stride in [0, 3] {
                    on_every_set(Multiply { rows, depth, extra_stride }, |_, ()| ());
                }
            }
        }
    }
}
