//! Parameters of `kernels/embeddings.cu`.

use std::borrow::Cow;

use half::f16;

use super::super::memory::{DeviceSlice, RowScale};
use super::parameters::{Indices, KernelParameters, LaunchSize, Size, kernel_parameters, require};
use super::{MAX_NORM_DIM, ROW_THREADS};
use crate::error::Result;

kernel_parameters! {
    /// Parameters of `embeddings_f16`.
    EmbeddingsF16<'m> {
        input_ids: Indices<'m>,
        positions: Indices<'m>,
        word: DeviceSlice<'m, f16>,
        position: DeviceSlice<'m, f16>,
        weight: DeviceSlice<'m, f32>,
        bias: DeviceSlice<'m, f32>,
        states: DeviceSlice<'m, f16>,
        dim: Size,
        eps: f32,
    }
}

kernel_parameters! {
    /// Parameters of `embeddings_int8`.
    EmbeddingsInt8<'m> {
        input_ids: Indices<'m>,
        positions: Indices<'m>,
        word: DeviceSlice<'m, i8>,
        word_scales: DeviceSlice<'m, f32>,
        position: DeviceSlice<'m, i8>,
        position_scales: DeviceSlice<'m, f32>,
        weight: DeviceSlice<'m, f32>,
        bias: DeviceSlice<'m, f32>,
        states: DeviceSlice<'m, f16>,
        quantized: DeviceSlice<'m, u8>,
        row_scales: DeviceSlice<'m, RowScale>,
        dim: Size,
        eps: f32,
    }
}

// SAFETY: `kernel` and the checks match `kernels/embeddings.cu`; `Indices` bounds the rows that it reads. Ids,
// positions and scales are read one at a time, so the alignment of their type suffices.
unsafe impl KernelParameters for EmbeddingsF16<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "embeddings_f16".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "embeddings_f16";
        let (tokens, dim) = (self.input_ids.len(), self.dim.get());
        require(KERNEL, "dim % 8 = 0, dim ≤ 2048", dim.is_multiple_of(8) && dim <= MAX_NORM_DIM)?;
        require(KERNEL, "a position per token", self.positions.len() == tokens)?;
        let rows = [
            (self.word, self.input_ids.bound()),
            (self.position, self.positions.bound()),
            (self.states, tokens),
        ];
        let fits = |(slice, rows): (DeviceSlice<'_, f16>, usize)| {
            slice.has_rows(rows, dim) && slice.is_aligned_to(16)
        };
        require(KERNEL, "complete tables and states", rows.into_iter().all(fits))?;
        let vectors = [self.weight, self.bias];
        let fits = |vector: DeviceSlice<'_, f32>| vector.len() >= dim && vector.is_aligned_to(16);
        require(KERNEL, "vectors of dim", vectors.into_iter().all(fits))?;
        Ok(LaunchSize { grid: [tokens, 1, 1], threads: ROW_THREADS })
    }
}

// SAFETY: `kernel` and the checks match `kernels/embeddings.cu`; `Indices` bounds the rows that it reads. Ids,
// positions and scales are read one at a time, so the alignment of their type suffices.
unsafe impl KernelParameters for EmbeddingsInt8<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "embeddings_int8".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "embeddings_int8";
        let (tokens, dim) = (self.input_ids.len(), self.dim.get());
        let (words, positions) = (self.input_ids.bound(), self.positions.bound());
        require(KERNEL, "dim % 8 = 0, dim ≤ 2048", dim.is_multiple_of(8) && dim <= MAX_NORM_DIM)?;
        require(KERNEL, "a position per token", self.positions.len() == tokens)?;
        let tables = self.word.has_rows(words, dim)
            && self.word_scales.len() >= words
            && self.position.has_rows(positions, dim)
            && self.position_scales.len() >= positions;
        require(KERNEL, "complete tables", tables)?;
        let rows = self.states.has_rows(tokens, dim)
            && self.quantized.has_rows(tokens, dim)
            && self.row_scales.len() >= tokens;
        require(KERNEL, "rows for all tokens", rows)?;
        let vectors = self.weight.len() >= dim && self.bias.len() >= dim;
        require(KERNEL, "vectors of dim", vectors)?;
        let aligned = self.word.is_aligned_to(16)
            && self.position.is_aligned_to(16)
            && self.weight.is_aligned_to(16)
            && self.bias.is_aligned_to(16)
            && self.states.is_aligned_to(16)
            && self.quantized.is_aligned_to(16)
            && self.row_scales.is_aligned_to(16);
        require(KERNEL, "pointers aligned to 16 bytes", aligned)?;
        Ok(LaunchSize { grid: [tokens, 1, 1], threads: ROW_THREADS })
    }
}
