//! Plain Rust, for machines that have no kernels of their own here.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Isa, Kernel, Tile, TileOutput};

/// Needs nothing, so it needs no proof.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Two SSE or NEON registers: what the compiler vectorises well on any 64-bit machine.
const LANES: usize = 8;

/// The layout of an IEEE single.
const EXPONENT_BIAS: i32 = 127;
const MANTISSA_BITS: u32 = 23;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Isa for Portable {
    type F32 = [f32; LANES];
    const LANES: usize = LANES;
    // Wide enough that `matrixmultiply`, which copies the rows for every panel, does so rarely.
    const PANEL: usize = 32;
    const TILE_ROWS: usize = 48;

    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    fn tile(self, tile: Tile<'_>, output: TileOutput<'_>) {
        let (rows, depth) = (tile.rows(), tile.depth());
        let panel = tile.panel(Self::PANEL);
        let stride = output.stride();
        let beta = if output.accumulate() { 1.0 } else { 0.0 };
        let values = output.values(rows, Self::PANEL);
        // SAFETY: `Tile::new` has checked that the input holds `rows` rows of `depth` at its
        // stride, `panel` that the panel is `depth` steps of `PANEL`, and `values` that the output
        // holds `rows` runs of `PANEL` at its stride; it is borrowed alone, and runs do not overlap.
        unsafe {
            matrixmultiply::sgemm(
                rows,
                depth,
                Self::PANEL,
                1.0,
                tile.input().as_ptr(),
                tile.input_stride() as isize,
                1,
                panel.as_ptr(),
                Self::PANEL as isize,
                1,
                beta,
                values.as_mut_ptr(),
                stride as isize,
                1,
            );
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &[T]) {}

    #[inline(always)]
    fn widen(self, halves: &[f16], wide: &mut [f32]) {
        halves.convert_to_f32_slice(wide);
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
    fn largest(self, a: Self::F32) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
