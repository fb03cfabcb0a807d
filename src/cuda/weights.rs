//! A model's weights on the GPU, as the kernels read them.

use std::sync::Arc;

use cudarc::driver::CudaStream;
use half::f16;
use rayon::prelude::*;

use super::memory::{Address, Buffer};
use crate::error::Result;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::model::matrix::{Matrix, RowReader};
use crate::model::weights::{Layer, LayerNorm, Linear, Model, WeightStore};
use crate::quantization::{LARGEST_EMBEDDING, LARGEST_WEIGHT, read_row};

/// Whether matrices are held in 8 bits; else as halves.
#[derive(Clone, Copy)]
pub struct InBytes(pub bool);

impl InBytes {
    /// Bytes of a value.
    pub fn size(self) -> usize {
        if self.0 { 1 } else { size_of::<f16>() }
    }
}

/// A matrix in the form in which it goes to the device: rows without gaps.
pub struct HostMatrix {
    bytes: Vec<u8>,
    rows: Vec<HostRow>,
    inputs: usize,
}

/// Reader and scratch space of a task that reads rows.
struct Scratch<'a> {
    reader: RowReader<'a>,
    floats: Vec<f32>,
    bytes: Vec<i8>,
    halves: Vec<f16>,
}

/// What a row in 8 bits needs besides its values.
#[derive(Clone, Copy, Default)]
struct HostRow {
    scale: f32,
    /// The sum of its values.
    sum: i32,
}

impl WeightStore for InBytes {
    type Matrix = HostMatrix;
    type Table = HostMatrix;

    fn matrix(&self, matrix: Matrix<'_>) -> Result<HostMatrix> {
        self.read(&matrix, LARGEST_WEIGHT)
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<HostMatrix> {
        self.read(&matrix, LARGEST_EMBEDDING)
    }
}

impl InBytes {
    /// Reads all rows; of 8 bits, `largest` is the largest value.
    fn read(self, matrix: &Matrix<'_>, largest: i8) -> Result<HostMatrix> {
        let inputs = matrix.inputs;
        let mut bytes = vec![0; matrix.outputs * inputs * self.size()];
        let scratch = || Scratch {
            reader: matrix.reader(0..matrix.outputs),
            floats: vec![0.0; inputs],
            bytes: vec![0; inputs],
            halves: vec![f16::ZERO; inputs],
        };
        let read = |scratch: &mut Scratch<'_>, (row, to): (usize, &mut [u8])| {
            let Scratch { reader, floats, bytes, halves } = scratch;
            if self.0 {
                let scale = read_row(reader, row, largest, floats, bytes)?;
                for (to, &value) in to.iter_mut().zip(&*bytes) {
                    *to = value as u8;
                }
                Ok(HostRow { scale, sum: bytes.iter().copied().map(i32::from).sum() })
            } else {
                reader.read_halves(row, floats, halves)?;
                for (to, value) in to.as_chunks_mut().0.iter_mut().zip(&*halves) {
                    *to = value.to_le_bytes();
                }
                Ok(HostRow::default())
            }
        };
        let rows = bytes.par_chunks_mut(inputs * self.size()).enumerate();
        let rows: Vec<_> = rows.map_init(scratch, read).collect();
        // Of several rows with bad weights, the first is told of.
        let rows = rows.into_iter().collect::<Result<_>>()?;
        Ok(HostMatrix { bytes, rows, inputs })
    }
}

/// A linear layer. `kernels/linear.cu` says what lies in the buffers.
pub struct DeviceLinear {
    weight: Buffer,
    /// In f16 the bias, in 8 bits a `Column`, of each output.
    columns: Buffer,
    column_bytes: usize,
    row_bytes: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl DeviceLinear {
    /// The weights from an output on.
    pub fn weight_from(&self, output: usize) -> Address {
        self.weight.start.plus(output * self.row_bytes)
    }

    /// The columns from an output on.
    pub fn columns_from(&self, output: usize) -> Address {
        self.columns.start.plus(output * self.column_bytes)
    }
}

pub struct DeviceNorm {
    pub weight: Buffer,
    pub bias: Buffer,
    pub eps: f32,
}

pub struct DeviceTable {
    pub values: Buffer,
    /// Of each row, read where the values are bytes.
    pub scales: Buffer,
}

/// As [`Layer`].
pub struct DeviceLayer {
    pub query_key_value: DeviceLinear,
    pub attention_output: DeviceLinear,
    pub attention_norm: DeviceNorm,
    pub feed_forward_in: DeviceLinear,
    pub feed_forward_out: DeviceLinear,
    pub feed_forward_norm: DeviceNorm,
}

/// The model on the device; what each part is, `model.rs` says.
pub struct DeviceModel {
    pub in_bytes: InBytes,
    pub word: DeviceTable,
    pub position: DeviceTable,
    pub embedding_norm: DeviceNorm,
    pub layers: Vec<DeviceLayer>,
    pub pre_classifier: DeviceLinear,
    pub classifier: DeviceLinear,
}

impl DeviceModel {
    /// Reads a checkpoint and copies it to the device. Gives the completed configuration as well.
    pub fn load(
        stream: &Arc<CudaStream>,
        config: Config,
        checkpoint: &Checkpoint,
        in_bytes: InBytes,
    ) -> Result<(Config, Self)> {
        let Model { config, embeddings, layers, head } =
            Model::load(config, checkpoint, &in_bytes)?;
        let upload = Upload { stream, in_bytes };
        let layer = |layer: Layer<HostMatrix>| -> Result<_> {
            Ok(DeviceLayer {
                query_key_value: upload.linear(layer.query_key_value)?,
                attention_output: upload.linear(layer.attention_output)?,
                attention_norm: upload.norm(&layer.attention_norm)?,
                feed_forward_in: upload.linear(layer.feed_forward_in)?,
                feed_forward_out: upload.linear(layer.feed_forward_out)?,
                feed_forward_norm: upload.norm(&layer.feed_forward_norm)?,
            })
        };
        let model = Self {
            in_bytes,
            word: upload.table(embeddings.word)?,
            position: upload.table(embeddings.position)?,
            embedding_norm: upload.norm(&embeddings.layer_norm)?,
            layers: layers.into_iter().map(layer).collect::<Result<_>>()?,
            pre_classifier: upload.linear(head.pre_classifier)?,
            classifier: upload.linear(head.classifier)?,
        };
        Ok((config, model))
    }
}

/// Copies a model's parts to the device.
struct Upload<'a> {
    stream: &'a Arc<CudaStream>,
    in_bytes: InBytes,
}

impl Upload<'_> {
    fn linear(&self, linear: Linear<HostMatrix>) -> Result<DeviceLinear> {
        let HostMatrix { bytes, rows, inputs } = linear.weight;
        let columns = if self.in_bytes.0 {
            let columns = rows.iter().zip(&linear.bias).flat_map(|(row, bias)| column(row, *bias));
            Buffer::upload(self.stream, &columns.collect::<Vec<u8>>())?
        } else {
            Buffer::upload_floats(self.stream, &linear.bias)?
        };
        Ok(DeviceLinear {
            weight: Buffer::upload(self.stream, &bytes)?,
            column_bytes: columns.bytes.len() / rows.len(),
            columns,
            row_bytes: inputs * self.in_bytes.size(),
            inputs,
            outputs: rows.len(),
        })
    }

    fn norm(&self, norm: &LayerNorm) -> Result<DeviceNorm> {
        Ok(DeviceNorm {
            weight: Buffer::upload_floats(self.stream, &norm.weight)?,
            bias: Buffer::upload_floats(self.stream, &norm.bias)?,
            eps: norm.eps,
        })
    }

    fn table(&self, table: HostMatrix) -> Result<DeviceTable> {
        let scales: Vec<f32> = table.rows.iter().map(|row| row.scale).collect();
        Ok(DeviceTable {
            values: Buffer::upload(self.stream, &table.bytes)?,
            scales: Buffer::upload_floats(self.stream, &scales)?,
        })
    }
}

/// `Column` of `kernels/linear.cu`.
fn column(row: &HostRow, bias: f32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&row.scale.to_le_bytes());
    bytes[4..8].copy_from_slice(&row.sum.to_le_bytes());
    bytes[8..12].copy_from_slice(&bias.to_le_bytes());
    bytes
}
