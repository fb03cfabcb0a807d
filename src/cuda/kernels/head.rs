//! Parameters of `kernels/head.cu`.

use std::borrow::Cow;

use half::f16;

use super::super::memory::{Column, DeviceSlice, RowScale};
use super::parameters::{Indices, KernelParameters, LaunchSize, Size, kernel_parameters, require};
use crate::error::Result;

const THREADS: u32 = 128;

/// Labels that a block of the classifier computes.
const BLOCK_LABELS: usize = 4;

kernel_parameters! {
    /// Parameters of `gather_first_rows`.
    GatherFirstRows<'m> {
        rows: DeviceSlice<'m, u8>,
        sequence_ends: Indices<'m>,
        first_rows: DeviceSlice<'m, u8>,
        row_bytes: Size,
    }
}

// SAFETY: `kernel` and the checks match `kernels/head.cu`; `Indices` bounds the tokens that it reads.
unsafe impl KernelParameters for GatherFirstRows<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "gather_first_rows".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "gather_first_rows";
        let (sequences, row_bytes) = (self.sequence_ends.len(), self.row_bytes.get());
        // An end may be equal to the number of tokens.
        let tokens = self.sequence_ends.bound().saturating_sub(1);
        require(KERNEL, "row_bytes % 8 = 0", row_bytes.is_multiple_of(8))?;
        let fits =
            self.rows.has_rows(tokens, row_bytes) && self.first_rows.has_rows(sequences, row_bytes);
        require(KERNEL, "a row per token and per sequence", fits)?;
        let aligned = self.rows.is_aligned_to(8) && self.first_rows.is_aligned_to(8);
        require(KERNEL, "pointers aligned to 8 bytes", aligned)?;
        Ok(LaunchSize { grid: [sequences, 1, 1], threads: THREADS })
    }
}

kernel_parameters! {
    /// Parameters of `classifier_f16`.
    ClassifierF16<'m> {
        input: DeviceSlice<'m, f16>,
        weight: DeviceSlice<'m, f16>,
        bias: DeviceSlice<'m, f32>,
        logits: DeviceSlice<'m, f32>,
        labels: Size,
        inputs: Size,
    }
    host {
        rows: usize,
    }
}

kernel_parameters! {
    /// Parameters of `classifier_int8`.
    ClassifierInt8<'m> {
        input: DeviceSlice<'m, u8>,
        row_scales: DeviceSlice<'m, RowScale>,
        weight: DeviceSlice<'m, i8>,
        columns: DeviceSlice<'m, Column>,
        logits: DeviceSlice<'m, f32>,
        labels: Size,
        inputs: Size,
    }
    host {
        rows: usize,
    }
}

fn classifier_size(rows: usize, labels: usize) -> LaunchSize {
    LaunchSize { grid: [labels.div_ceil(BLOCK_LABELS), rows, 1], threads: THREADS }
}

// SAFETY: `kernel` and the checks match `kernels/head.cu`.
unsafe impl KernelParameters for ClassifierF16<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "classifier_f16".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "classifier_f16";
        let (rows, labels, inputs) = (self.rows, self.labels.get(), self.inputs.get());
        require(KERNEL, "inputs % 8 = 0", inputs.is_multiple_of(8))?;
        let fits = self.input.has_rows(rows, inputs)
            && self.weight.has_rows(labels, inputs)
            && self.bias.len() >= labels
            && self.logits.has_rows(rows, labels);
        require(KERNEL, "complete rows, weights and logits", fits)?;
        let aligned = self.input.is_aligned_to(16) && self.weight.is_aligned_to(16);
        require(KERNEL, "pointers aligned to 16 bytes", aligned)?;
        Ok(classifier_size(rows, labels))
    }
}

// SAFETY: `kernel` and the checks match `kernels/head.cu`.
unsafe impl KernelParameters for ClassifierInt8<'_> {
    fn kernel(&self) -> Cow<'static, str> {
        "classifier_int8".into()
    }

    fn launch_size(&self) -> Result<LaunchSize> {
        const KERNEL: &str = "classifier_int8";
        let (rows, labels, inputs) = (self.rows, self.labels.get(), self.inputs.get());
        require(KERNEL, "inputs % 16 = 0", inputs.is_multiple_of(16))?;
        let fits = self.input.has_rows(rows, inputs)
            && self.row_scales.len() >= rows
            && self.weight.has_rows(labels, inputs)
            && self.columns.len() >= labels
            && self.logits.has_rows(rows, labels);
        require(KERNEL, "complete rows, weights and logits", fits)?;
        let aligned = self.input.is_aligned_to(16)
            && self.weight.is_aligned_to(16)
            && self.columns.is_aligned_to(16);
        require(KERNEL, "pointers aligned to 16 bytes", aligned)?;
        Ok(classifier_size(rows, labels))
    }
}
