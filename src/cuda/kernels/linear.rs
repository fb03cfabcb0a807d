//! Parameters of `kernels/linear.cu`, and the choice of a tile.

use std::borrow::Cow;

use half::f16;

use super::super::memory::{Column, DeviceSlice, RowScale};
use super::parameters::{KernelParameters, LaunchSize, Size, kernel_parameters, require};
use crate::error::Result;

/// Tile of the output that a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    rows: usize,
    outputs: usize,
    threads: u32,
}

/// All tiles for which there are kernels, the largest first.
const TILES: [Tile; 4] = [
    Tile { rows: 128, outputs: 128, threads: 256 },
    Tile { rows: 64, outputs: 64, threads: 128 },
    Tile { rows: 32, outputs: 32, threads: 128 },
    Tile { rows: 16, outputs: 32, threads: 64 },
];

impl Tile {
    /// Returns the number of blocks, by outputs and rows.
    fn grid(self, rows: usize, outputs: usize) -> [usize; 2] {
        [outputs.div_ceil(self.outputs), rows.div_ceil(self.rows)]
    }

    /// Chooses a tile: the larger of the two large ones that occupies every multiprocessor, because it
    /// reads the least memory, or else the smallest that covers the rows.
    pub fn choose(multiprocessors: usize, rows: usize, outputs: usize) -> Self {
        let [large, medium, small, smallest] = TILES;
        let fills =
            |tile: &Self| tile.grid(rows, outputs).iter().product::<usize>() >= multiprocessors;
        let fitting = [large, medium].into_iter().find(fills);
        fitting.unwrap_or(if rows > smallest.rows { small } else { smallest })
    }
}

/// Operation applied to the sums before they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    Bias,
    BiasGelu,
    BiasRelu,
    /// Bias, and the previous contents of the output.
    BiasResidual,
}

impl Epilogue {
    const ALL: [Self; 4] = [Self::Bias, Self::BiasGelu, Self::BiasRelu, Self::BiasResidual];

    fn name(self) -> &'static str {
        match self {
            Self::Bias => "bias",
            Self::BiasGelu => "bias_gelu",
            Self::BiasRelu => "bias_relu",
            Self::BiasResidual => "bias_residual",
        }
    }
}

fn kernel_name(format: &str, epilogue: Epilogue, tile: Tile) -> String {
    format!("linear_{format}_{}_{}x{}", epilogue.name(), tile.rows, tile.outputs)
}

/// Returns the names of all kernels for a weight format.
pub fn kernel_names(format: &str) -> impl Iterator<Item = String> {
    Epilogue::ALL.into_iter().flat_map(move |epilogue| {
        TILES.into_iter().map(move |tile| kernel_name(format, epilogue, tile))
    })
}

kernel_parameters! {
    /// Parameters of `linear_f16_EPILOGUE_TILE`.
    LinearF16<'m> {
        input: DeviceSlice<'m, f16>,
        weight: DeviceSlice<'m, f16>,
        bias: DeviceSlice<'m, f32>,
        output: DeviceSlice<'m, f16>,
        rows: Size,
        outputs: Size,
        inputs: Size,
        output_stride: Size,
    }
    host {
        epilogue: Epilogue,
        tile: Tile,
    }
}

kernel_parameters! {
    /// Parameters of `linear_int8_EPILOGUE_TILE`.
    LinearInt8<'m> {
        input: DeviceSlice<'m, u8>,
        row_scales: DeviceSlice<'m, RowScale>,
        weight: DeviceSlice<'m, i8>,
        columns: DeviceSlice<'m, Column>,
        output: DeviceSlice<'m, f16>,
        rows: Size,
        outputs: Size,
        inputs: Size,
        output_stride: Size,
    }
    host {
        epilogue: Epilogue,
        tile: Tile,
    }
}

/// Checks the sizes and the output of both formats and returns the size of the launch.
fn launch_size(
    kernel: &str,
    tile: Tile,
    [rows, outputs, inputs, output_stride]: [Size; 4],
    output: DeviceSlice<'_, f16>,
) -> Result<LaunchSize> {
    let [rows, outputs, inputs, stride] = [rows, outputs, inputs, output_stride].map(Size::get);
    let multiples = outputs.is_multiple_of(64) && inputs.is_multiple_of(64);
    require(kernel, "inputs and outputs that are multiples of 64", multiples)?;
    let aligned = stride.is_multiple_of(2) && output.is_aligned_to(4);
    require(kernel, "an even stride and an output aligned to 4 bytes", aligned)?;
    let fits = output.has_strided_rows(rows, stride, outputs);
    require(kernel, "an output for all rows", fits)?;
    let [x, y] = tile.grid(rows, outputs);
    Ok(LaunchSize { grid: [x, y, 1], threads: tile.threads })
}

// SAFETY: `kernel` and the checks match `kernels/linear.cu`.
unsafe impl KernelParameters for LinearF16<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        kernel_name("f16", self.epilogue, self.tile).into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        let kernel = &self.kernel();
        let [rows, outputs, inputs] = [self.rows, self.outputs, self.inputs].map(Size::get);
        let fits = self.input.has_rows(rows, inputs)
            && self.weight.has_rows(outputs, inputs)
            && self.bias.len() >= outputs;
        require(kernel, "complete rows, weights and bias", fits)?;
        let aligned = self.input.is_aligned_to(16)
            && self.weight.is_aligned_to(16)
            && self.bias.is_aligned_to(16);
        require(kernel, "pointers aligned to 16 bytes", aligned)?;
        let sizes = [self.rows, self.outputs, self.inputs, self.output_stride];
        launch_size(kernel, self.tile, sizes, self.output)
    }
}

// SAFETY: `kernel` and the checks match `kernels/linear.cu`.
unsafe impl KernelParameters for LinearInt8<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        kernel_name("int8", self.epilogue, self.tile).into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        let kernel = &self.kernel();
        let [rows, outputs, inputs] = [self.rows, self.outputs, self.inputs].map(Size::get);
        let fits = self.input.has_rows(rows, inputs)
            && self.row_scales.len() >= rows
            && self.weight.has_rows(outputs, inputs)
            && self.columns.len() >= outputs;
        require(kernel, "complete rows, scales, weights and columns", fits)?;
        let aligned = self.input.is_aligned_to(16)
            && self.row_scales.is_aligned_to(16)
            && self.weight.is_aligned_to(16)
            && self.columns.is_aligned_to(16);
        require(kernel, "pointers aligned to 16 bytes", aligned)?;
        let sizes = [self.rows, self.outputs, self.inputs, self.output_stride];
        launch_size(kernel, self.tile, sizes, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_grow_with_the_product() {
        let tile = |rows, outputs| {
            let tile = Tile::choose(108, rows, outputs);
            (tile.rows, tile.outputs)
        };
        assert_eq!(tile(1, 768), (16, 32));
        assert_eq!(tile(17, 768), (32, 32));
        assert_eq!(tile(512, 3072), (64, 64));
        assert_eq!(tile(4096, 768), (128, 128));
    }
}
