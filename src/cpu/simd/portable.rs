//! Plain Rust, for machines that have no kernels of their own here.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Isa, Kernel, SQUARE};
use crate::cpu::gemm::tile::{Ahead, FLOAT_DEPTH_BLOCK, Operands, TileOutput, TileRows};

/// Needs no instructions, so constructing it proves nothing.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Two SSE or NEON registers, which the compiler vectorizes well on any 64-bit machine.
const LANES: usize = 8;

/// Wide enough that `matrixmultiply`, which copies the rows for every panel, does so rarely.
const PANEL: usize = 32;

/// The layout of an IEEE single.
const EXPONENT_BIAS: i32 = 127;
const MANTISSA_BITS: u32 = 23;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

// SAFETY: the set needs no instructions of its own.
unsafe impl Isa for Portable {
    type F32 = [f32; LANES];
    const LANES: usize = LANES;
    const PANEL: usize = PANEL;
    const TILE_ROWS: usize = 48;

    fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }

    fn tile_f32(
        self,
        input: TileRows<'_, f32>,
        panel: &[f32],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        let operands = Operands::new(input, panel, ahead, output, (PANEL, 1));
        // SAFETY: `Operands` has checked the input's, the panel's and the output's bounds; the output is borrowed
        // exclusively, and its runs do not overlap.
        unsafe {
            matrixmultiply::sgemm(
                operands.rows,
                operands.steps,
                PANEL,
                1.0,
                operands.input,
                operands.input_stride as isize,
                1,
                operands.panel,
                PANEL as isize,
                1,
                if operands.accumulate { 1.0 } else { 0.0 },
                operands.output,
                operands.output_stride as isize,
                1,
            );
        }
    }

    fn tile_f16(
        self,
        input: TileRows<'_, f32>,
        panel: &[f16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    ) {
        let mut widened = [0.0; FLOAT_DEPTH_BLOCK * PANEL];
        let widened = &mut widened[..panel.len()];
        panel.convert_to_f32_slice(widened);
        self.tile_f32(input, widened, ahead, output);
    }

    fn tile_int8(
        self,
        input: TileRows<'_, u8>,
        panel: &[i8],
        ahead: Ahead<'_>,
        output: TileOutput<'_, i32>,
    ) {
        const GROUP: usize = 4;
        let operands = Operands::new(input, panel, ahead, output, (PANEL, GROUP));
        for row in 0..operands.rows {
            // SAFETY: `Operands` has checked that the row and its run of the output are there, and
            // the output is borrowed exclusively.
            let (input, output) = unsafe {
                (
                    std::slice::from_raw_parts(
                        operands.input.add(row * operands.input_stride),
                        operands.steps * GROUP,
                    ),
                    std::slice::from_raw_parts_mut(
                        operands.output.add(row * operands.output_stride),
                        PANEL,
                    ),
                )
            };
            // Two sums for each column, which compilers turn into `pmaddwd` and its equivalents.
            let mut sums = [[0i32; 2]; PANEL];
            let groups = input.as_chunks::<GROUP>().0;
            for (group, step) in groups.iter().zip(panel.chunks_exact(PANEL * GROUP)) {
                let x = group.map(i32::from);
                for (sums, w) in sums.iter_mut().zip(step.as_chunks::<GROUP>().0) {
                    let w = w.map(i32::from);
                    sums[0] += x[0] * w[0] + x[1] * w[1];
                    sums[1] += x[2] * w[2] + x[3] * w[3];
                }
            }
            for (output, sums) in output.iter_mut().zip(sums) {
                let previous = if operands.accumulate { *output } else { 0 };
                *output = previous + sums[0] + sums[1];
            }
        }
    }

    #[inline(always)]
    fn without_zero_point(self, sums: &[i32], zero_point: i32, column_sums: &[i32]) -> Self::F32 {
        let (sums, column_sums) = (&sums[..LANES], &column_sums[..LANES]);
        std::array::from_fn(|lane| (sums[lane] - zero_point * column_sums[lane]) as f32)
    }

    #[inline(always)]
    fn store_rounded(self, value: Self::F32, to: &mut [u8]) {
        // Adding 1.5 · 2^23 leaves no bits after the point, rounded to even; the sum's lowest bits are
        // the integer.
        const ROUND: f32 = 12_582_912.0;
        for (to, value) in to[..LANES].iter_mut().zip(value) {
            *to = (value + ROUND).to_bits() as u8;
        }
    }

    fn transpose_square(self, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
        for row in 0..SQUARE {
            for column in 0..SQUARE {
                to[column * to_stride + row] = from[row * from_stride + column];
            }
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F32 {
        std::array::from_fn(|lane| from[..LANES][lane])
    }

    #[inline(always)]
    fn store(self, value: Self::F32, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&value);
    }

    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        // Not `f32::mul_add`, which is a slow call where the machine has no such instruction.
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn keep_if_less(self, a: Self::F32, b: Self::F32, value: Self::F32) -> Self::F32 {
        std::array::from_fn(|lane| if a[lane] < b[lane] { value[lane] } else { 0.0 })
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::F32) -> Self::F32 {
        n.map(|n| f32::from_bits(((n as i32 + EXPONENT_BIAS) as u32) << MANTISSA_BITS))
    }

    #[inline(always)]
    fn sum(self, a: Self::F32) -> f32 {
        let half: [f32; 4] = std::array::from_fn(|lane| a[lane] + a[lane + 4]);
        (half[0] + half[2]) + (half[1] + half[3])
    }

    #[inline(always)]
    fn smallest(self, a: Self::F32) -> f32 {
        a.into_iter().fold(f32::INFINITY, f32::min)
    }

    #[inline(always)]
    fn largest(self, a: Self::F32) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
