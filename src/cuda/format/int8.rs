//! Weights and activations in 8 bits.

use std::sync::Arc;

use cudarc::driver::CudaStream;

use super::{Classifier, Embedding, Format, Gemm, Halves};
use crate::cuda::graph::Capture;
use crate::cuda::input::InputSlices;
use crate::cuda::kernels::MAX_QUANTIZED_DIM;
use crate::cuda::kernels::embeddings::EmbeddingsInt8;
use crate::cuda::kernels::head::{ClassifierInt8, GatherFirstRows};
use crate::cuda::kernels::layer_norm::LayerNormQuantize;
use crate::cuda::kernels::linear::{LinearInt8, Tile};
use crate::cuda::kernels::parameters::Size;
use crate::cuda::kernels::quantize::Quantize;
use crate::cuda::memory::{Column, DeviceBuffer, DeviceSlice, RowScale};
use crate::cuda::weights::DeviceNorm;
use crate::error::Result;
use crate::model::matrix::RowReader;
use crate::quantization::read_row;

/// Weights and activations in 8 bits, accumulated exactly in i32.
pub struct Int8;

/// Scale of a row of weights, and the sum of its integers.
#[derive(Clone, Copy, Default)]
pub struct WeightRow {
    scale: f32,
    sum: i32,
}

/// Memory for quantized rows and their scales.
pub struct QuantizedBuffer {
    values: DeviceBuffer<u8>,
    scales: DeviceBuffer<RowScale>,
}

/// Quantized rows of `dim` values, with their scales.
#[derive(Clone, Copy)]
pub struct QuantizedRows<'m> {
    values: DeviceSlice<'m, u8>,
    scales: DeviceSlice<'m, RowScale>,
    dim: usize,
}

impl QuantizedBuffer {
    /// Returns the first `count` rows of `dim` values.
    fn rows(&self, count: usize, dim: usize) -> Result<QuantizedRows<'_>> {
        let values = self.values.slice(0..count.saturating_mul(dim))?;
        Ok(QuantizedRows { values, scales: self.scales.slice(0..count)?, dim })
    }
}

impl Format for Int8 {
    const NAME: &'static str = "int8";
    const KERNELS: &'static [&'static str] = &["layer_norm_quantize", "quantize"];
    const MAX_INPUTS: usize = MAX_QUANTIZED_DIM;

    type Weight = i8;
    type Output = Column;
    type RowData = WeightRow;
    type Quantized = QuantizedBuffer;
    type Rows<'m> = QuantizedRows<'m>;

    fn read_row(
        reader: &mut RowReader<'_>,
        row: usize,
        max: i8,
        floats: &mut [f32],
        to: &mut [i8],
    ) -> Result<WeightRow> {
        let scale = read_row(reader, row, max, floats, to)?;
        Ok(WeightRow { scale, sum: to.iter().copied().map(i32::from).sum() })
    }

    fn outputs(rows: &[WeightRow], bias: Vec<f32>) -> Vec<Column> {
        let column = |(&WeightRow { scale, sum }, bias)| Column { scale, sum, bias, unused: 0 };
        rows.iter().zip(bias).map(column).collect()
    }

    fn table_scales(rows: &[WeightRow]) -> Vec<f32> {
        rows.iter().map(|row| row.scale).collect()
    }

    fn allocate(stream: &Arc<CudaStream>, rows: usize, width: usize) -> Result<QuantizedBuffer> {
        Ok(QuantizedBuffer {
            // Gathering skips empty sequences, whose rows are read nevertheless.
            values: DeviceBuffer::zeroed(stream, rows.saturating_mul(width))?,
            scales: DeviceBuffer::zeroed(stream, rows)?,
        })
    }

    fn embed<'m>(
        capture: &Capture<'m>,
        embedding: Embedding<'m, Self>,
    ) -> Result<QuantizedRows<'m>> {
        let Embedding { input, word, position, norm, states, quantized } = embedding;
        let dim = norm.weight.len();
        let rows = quantized.rows(input.ids.len(), dim)?;
        capture.launch(EmbeddingsInt8 {
            input_ids: input.ids,
            positions: input.positions,
            word: word.values.as_slice(),
            word_scales: word.scales.as_slice(),
            position: position.values.as_slice(),
            position_scales: position.scales.as_slice(),
            weight: norm.weight.as_slice(),
            bias: norm.bias.as_slice(),
            states,
            quantized: rows.values,
            row_scales: rows.scales,
            dim: Size::new(dim)?,
            eps: norm.eps,
        })?;
        Ok(rows)
    }

    fn normalize<'m>(
        capture: &Capture<'m>,
        norm: &'m DeviceNorm,
        states: Halves<'m>,
        quantized: &'m QuantizedBuffer,
    ) -> Result<QuantizedRows<'m>> {
        let dim = norm.weight.len();
        let rows = quantized.rows(states.len() / dim.max(1), dim)?;
        capture.launch(LayerNormQuantize {
            states,
            weight: norm.weight.as_slice(),
            bias: norm.bias.as_slice(),
            quantized: rows.values,
            row_scales: rows.scales,
            dim: Size::new(dim)?,
            eps: norm.eps,
        })?;
        Ok(rows)
    }

    fn rows<'m>(
        capture: &Capture<'m>,
        values: Halves<'m>,
        dim: usize,
        quantized: &'m QuantizedBuffer,
    ) -> Result<QuantizedRows<'m>> {
        let rows = quantized.rows(values.len() / dim.max(1), dim)?;
        capture.launch(Quantize {
            values,
            quantized: rows.values,
            row_scales: rows.scales,
            dim: Size::new(dim)?,
        })?;
        Ok(rows)
    }

    fn gather<'m>(
        capture: &Capture<'m>,
        rows: QuantizedRows<'m>,
        _states: Halves<'m>,
        input: InputSlices<'m>,
        quantized: &'m QuantizedBuffer,
    ) -> Result<QuantizedRows<'m>> {
        let sequence_ends = input.sequence_ends;
        let first = quantized.rows(sequence_ends.len(), rows.dim)?;
        capture.launch(GatherFirstRows {
            rows: rows.values,
            sequence_ends,
            first_rows: first.values,
            row_bytes: Size::new(rows.dim)?,
        })?;
        capture.launch(GatherFirstRows {
            rows: rows.scales.bytes(),
            sequence_ends,
            first_rows: first.scales.bytes(),
            row_bytes: Size::new(size_of::<RowScale>())?,
        })?;
        Ok(first)
    }

    fn linear<'m>(capture: &Capture<'m>, gemm: Gemm<'m, Self>) -> Result<()> {
        capture.launch(LinearInt8 {
            input: gemm.input.values,
            row_scales: gemm.input.scales,
            weight: gemm.weight,
            columns: gemm.output_data,
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
        capture.launch(ClassifierInt8 {
            input: classifier.input.values,
            row_scales: classifier.input.scales,
            weight: classifier.weight.as_slice(),
            columns: classifier.output_data.as_slice(),
            logits: classifier.logits,
            labels: Size::new(classifier.labels)?,
            inputs: Size::new(classifier.inputs)?,
            rows: classifier.rows,
        })
    }
}
