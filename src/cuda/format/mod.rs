//! Weight formats: everything in which f16 and int8 differ. The architecture in
//! [`forward`](super::forward) is generic over the format.

mod f16;
mod int8;

use std::sync::Arc;

use cudarc::driver::CudaStream;

pub use self::f16::F16;
pub use self::int8::Int8;
use super::graph::Capture;
use super::input::InputSlices;
use super::kernels::linear::Epilogue;
use super::memory::{DeviceBuffer, DeviceSlice, Element};
use super::weights::{DeviceNorm, DeviceTable};
use crate::error::Result;
use crate::model::matrix::RowReader;

type Halves<'m> = DeviceSlice<'m, half::f16>;

/// Format of weight matrices on the device, and of the activations that are multiplied with them.
pub trait Format: Sized + 'static {
    /// Name of the format in kernel names.
    const NAME: &'static str;

    /// Kernels that only this format uses.
    const KERNELS: &'static [&'static str];

    /// Longest row of activations that can be multiplied.
    const MAX_INPUTS: usize;

    /// Value of a weight matrix or an embedding table.
    type Weight: Element;

    /// Data of a linear layer's output besides its weights.
    type Output: Element;

    /// Data of a weight row besides its values.
    type RowData: Copy + Default + Send;

    /// Memory for quantized activations.
    type Quantized: Send + Sync;

    /// Rows of activations as GEMMs read them.
    type Rows<'m>: Copy;

    /// Converts a row of weights, with values of at most `max` if they are integers. `floats` is scratch
    /// space for one row.
    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        max: i8,
        floats: &mut [f32],
        to: &mut [Self::Weight],
    ) -> Result<Self::RowData>;

    /// Returns the per-output data of a linear layer.
    fn outputs(rows: &[Self::RowData], bias: Vec<f32>) -> Vec<Self::Output>;

    /// Returns the scales of a table's rows; empty if it has none.
    fn table_scales(rows: &[Self::RowData]) -> Vec<f32>;

    /// Allocates memory for `rows` rows of up to `width` quantized activations.
    fn allocate(stream: &Arc<CudaStream>, rows: usize, width: usize) -> Result<Self::Quantized>;

    /// Computes the embeddings of all tokens.
    fn embed<'m>(capture: &Capture<'m>, embedding: Embedding<'m, Self>) -> Result<Self::Rows<'m>>;

    /// Normalizes hidden states in place.
    fn normalize<'m>(
        capture: &Capture<'m>,
        norm: &'m DeviceNorm,
        states: Halves<'m>,
        quantized: &'m Self::Quantized,
    ) -> Result<Self::Rows<'m>>;

    /// Converts activations to rows of `dim` values for a GEMM.
    fn rows<'m>(
        capture: &Capture<'m>,
        values: Halves<'m>,
        dim: usize,
        quantized: &'m Self::Quantized,
    ) -> Result<Self::Rows<'m>>;

    /// Gathers the row of each sequence's first token; `states` has been gathered already.
    fn gather<'m>(
        capture: &Capture<'m>,
        rows: Self::Rows<'m>,
        states: Halves<'m>,
        input: InputSlices<'m>,
        quantized: &'m Self::Quantized,
    ) -> Result<Self::Rows<'m>>;

    /// Computes a linear layer.
    fn linear<'m>(capture: &Capture<'m>, gemm: Gemm<'m, Self>) -> Result<()>;

    /// Computes the logits.
    fn classify<'m>(capture: &Capture<'m>, classifier: Classifier<'m, Self>) -> Result<()>;
}

/// Operands of the embedding kernels.
pub struct Embedding<'m, F: Format> {
    pub input: InputSlices<'m>,
    pub word: &'m DeviceTable<F>,
    pub position: &'m DeviceTable<F>,
    pub norm: &'m DeviceNorm,
    pub states: Halves<'m>,
    pub quantized: &'m F::Quantized,
}

/// Operands of a linear layer.
pub struct Gemm<'m, F: Format> {
    pub input: F::Rows<'m>,
    pub weight: DeviceSlice<'m, F::Weight>,
    pub output_data: DeviceSlice<'m, F::Output>,
    pub output: Halves<'m>,
    pub output_stride: usize,
    pub rows: usize,
    pub outputs: usize,
    pub inputs: usize,
    pub epilogue: Epilogue,
}

/// Operands of the classifier.
pub struct Classifier<'m, F: Format> {
    pub input: F::Rows<'m>,
    pub weight: &'m DeviceBuffer<F::Weight>,
    pub output_data: &'m DeviceBuffer<F::Output>,
    pub logits: DeviceSlice<'m, f32>,
    pub rows: usize,
    pub labels: usize,
    pub inputs: usize,
}
