//! Weights and activations in f16.

use std::sync::Arc;

use cudarc::driver::CudaStream;
use half::f16;

use super::{Classifier, Embedding, Format, Gemm, Halves};
use crate::cuda::graph::Capture;
use crate::cuda::input::InputSlices;
use crate::cuda::kernels::embeddings::EmbeddingsF16;
use crate::cuda::kernels::head::ClassifierF16;
use crate::cuda::kernels::layer_norm::LayerNormF16;
use crate::cuda::kernels::linear::{LinearF16, Tile};
use crate::cuda::kernels::parameters::Size;
use crate::cuda::weights::DeviceNorm;
use crate::error::Result;
use crate::model::matrix::RowReader;

/// Weights and activations in f16, accumulated in f32.
pub struct F16;

impl Format for F16 {
    const NAME: &'static str = "f16";
    const KERNELS: &'static [&'static str] = &["layer_norm"];
    const MAX_INPUTS: usize = usize::MAX;

    type Weight = f16;
    /// Bias.
    type Output = f32;
    type RowData = ();
    type Quantized = ();
    type Rows<'m> = Halves<'m>;

    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        _max: i8,
        floats: &mut [f32],
        to: &mut [f16],
    ) -> Result<()> {
        reader.read_halves(row, floats, to)
    }

    fn outputs(_rows: &[()], bias: Vec<f32>) -> Vec<f32> {
        bias
    }

    fn table_scales(_rows: &[()]) -> Vec<f32> {
        Vec::new()
    }

    fn allocate(_stream: &Arc<CudaStream>, _rows: usize, _width: usize) -> Result<()> {
        Ok(())
    }

    fn embed<'m>(capture: &Capture<'m>, embedding: Embedding<'m, Self>) -> Result<Halves<'m>> {
        let Embedding { input, word, position, norm, states, quantized: () } = embedding;
        capture.launch(EmbeddingsF16 {
            input_ids: input.ids,
            positions: input.positions,
            word: word.values.as_slice(),
            position: position.values.as_slice(),
            weight: norm.weight.as_slice(),
            bias: norm.bias.as_slice(),
            states,
            dim: Size::new(norm.weight.len())?,
            eps: norm.eps,
        })?;
        Ok(states)
    }

    fn normalize<'m>(
        capture: &Capture<'m>,
        norm: &'m DeviceNorm,
        states: Halves<'m>,
        (): &'m (),
    ) -> Result<Halves<'m>> {
        capture.launch(LayerNormF16 {
            states,
            weight: norm.weight.as_slice(),
            bias: norm.bias.as_slice(),
            dim: Size::new(norm.weight.len())?,
            eps: norm.eps,
        })?;
        Ok(states)
    }

    fn rows<'m>(
        _capture: &Capture<'m>,
        values: Halves<'m>,
        _dim: usize,
        (): &'m (),
    ) -> Result<Halves<'m>> {
        Ok(values)
    }

    fn gather<'m>(
        _capture: &Capture<'m>,
        _rows: Halves<'m>,
        states: Halves<'m>,
        _input: InputSlices<'m>,
        (): &'m (),
    ) -> Result<Halves<'m>> {
        Ok(states)
    }

    fn linear<'m>(capture: &Capture<'m>, gemm: Gemm<'m, Self>) -> Result<()> {
        capture.launch(LinearF16 {
            input: gemm.input,
            weight: gemm.weight,
            bias: gemm.output_data,
            output: gemm.output,
            rows: Size::new(gemm.rows)?,
            outputs: Size::new(gemm.outputs)?,
            inputs: Size::new(gemm.inputs)?,
            output_stride: Size::new(gemm.output_stride)?,
            epilogue: gemm.epilogue,
            tile: Tile::choose(capture.multiprocessors(), gemm.rows, gemm.outputs),
        })
    }

    fn classify<'m>(capture: &Capture<'m>, classifier: Classifier<'m, Self>) -> Result<()> {
        capture.launch(ClassifierF16 {
            input: classifier.input,
            weight: classifier.weight.as_slice(),
            bias: classifier.output_data.as_slice(),
            logits: classifier.logits,
            labels: Size::new(classifier.labels)?,
            inputs: Size::new(classifier.inputs)?,
            rows: classifier.rows,
        })
    }
}
