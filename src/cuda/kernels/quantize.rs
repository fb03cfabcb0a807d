//! Parameters of `kernels/quantize.cu`.

use std::borrow::Cow;

use half::f16;

use super::super::memory::{DeviceSlice, RowScale};
use super::parameters::{KernelParameters, LaunchSize, Size, kernel_parameters, require};
use super::{MAX_QUANTIZED_DIM, ROW_THREADS};
use crate::error::Result;

kernel_parameters! {
    /// Parameters of `quantize`, one block for each row of `values`.
    Quantize<'m> {
        values: DeviceSlice<'m, f16>,
        quantized: DeviceSlice<'m, u8>,
        row_scales: DeviceSlice<'m, RowScale>,
        dim: Size,
    }
}

// SAFETY: `kernel` and the checks match `kernels/quantize.cu`.
unsafe impl KernelParameters for Quantize<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "quantize".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "quantize";
        let dim = self.dim.get();
        let supported = dim > 0 && dim.is_multiple_of(8) && dim <= MAX_QUANTIZED_DIM;
        require(KERNEL, "dim % 8 = 0, dim ≤ 4096", supported)?;
        require(KERNEL, "whole rows", self.values.len().is_multiple_of(dim))?;
        let rows = self.values.len() / dim;
        let fits = self.quantized.has_rows(rows, dim) && self.row_scales.len() >= rows;
        require(KERNEL, "8-bit rows and scales for all rows", fits)?;
        let aligned = self.values.is_aligned_to(16)
            && self.quantized.is_aligned_to(16)
            && self.row_scales.is_aligned_to(16);
        require(KERNEL, "pointers aligned to 16 bytes", aligned)?;
        Ok(LaunchSize { grid: [rows, 1, 1], threads: ROW_THREADS })
    }
}
