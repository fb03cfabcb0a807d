//! Parameters of `kernels/layer_norm.cu`.

use std::borrow::Cow;

use half::f16;

use super::super::memory::{DeviceSlice, RowScale};
use super::parameters::{KernelParameters, LaunchSize, Size, kernel_parameters, require};
use super::{MAX_NORM_DIM, ROW_THREADS};
use crate::error::Result;

kernel_parameters! {
    /// Parameters of `layer_norm`, one block for each row of `states`.
    LayerNormF16<'m> {
        states: DeviceSlice<'m, f16>,
        weight: DeviceSlice<'m, f32>,
        bias: DeviceSlice<'m, f32>,
        dim: Size,
        eps: f32,
    }
}

kernel_parameters! {
    /// Parameters of `layer_norm_quantize`, one block for each row of `states`.
    LayerNormQuantize<'m> {
        states: DeviceSlice<'m, f16>,
        weight: DeviceSlice<'m, f32>,
        bias: DeviceSlice<'m, f32>,
        quantized: DeviceSlice<'m, u8>,
        row_scales: DeviceSlice<'m, RowScale>,
        dim: Size,
        eps: f32,
    }
}

/// Checks what both kernels require and returns the number of rows.
fn rows(
    kernel: &str,
    states: DeviceSlice<'_, f16>,
    vectors: [DeviceSlice<'_, f32>; 2],
    dim: usize,
) -> Result<usize> {
    let supported = dim > 0 && dim.is_multiple_of(8) && dim <= MAX_NORM_DIM;
    require(kernel, "dim % 8 = 0, dim ≤ 2048", supported)?;
    require(kernel, "whole rows", states.len().is_multiple_of(dim))?;
    require(kernel, "states aligned to 16 bytes", states.is_aligned_to(16))?;
    let fits = |vector: DeviceSlice<'_, f32>| vector.len() >= dim && vector.is_aligned_to(16);
    require(kernel, "aligned vectors of dim", vectors.into_iter().all(fits))?;
    Ok(states.len() / dim)
}

// SAFETY: `kernel` and the checks match `kernels/layer_norm.cu`.
unsafe impl KernelParameters for LayerNormF16<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "layer_norm".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        let vectors = [self.weight, self.bias];
        let rows = rows("layer_norm", self.states, vectors, self.dim.get())?;
        Ok(LaunchSize { grid: [rows, 1, 1], threads: ROW_THREADS })
    }
}

// SAFETY: `kernel` and the checks match `kernels/layer_norm.cu`.
unsafe impl KernelParameters for LayerNormQuantize<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "layer_norm_quantize".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "layer_norm_quantize";
        let rows = rows(KERNEL, self.states, [self.weight, self.bias], self.dim.get())?;
        let fits = self.quantized.has_rows(rows, self.dim.get()) && self.row_scales.len() >= rows;
        require(KERNEL, "8-bit rows and scales for all rows", fits)?;
        let aligned = self.quantized.is_aligned_to(16) && self.row_scales.is_aligned_to(16);
        require(KERNEL, "pointers aligned to 16 bytes", aligned)?;
        Ok(LaunchSize { grid: [rows, 1, 1], threads: ROW_THREADS })
    }
}
