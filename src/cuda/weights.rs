//! Model weights on the device. The structs are those of [`model::weights`](crate::model::weights), filled
//! with device buffers.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::CudaStream;

use super::format::Format;
use super::memory::DeviceBuffer;
use crate::cpu::{Chunks, Leader, Threads};
use crate::error::Result;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::model::matrix::Matrix;
use crate::model::weights::{Embeddings, Head, Layer, LayerNorm, Linear, Model, WeightStore};
use crate::quantization::{LARGEST_EMBEDDING, LARGEST_WEIGHT};

/// Weight matrix on the device.
pub struct DeviceMatrix<F: Format> {
    /// `[outputs, inputs]`
    pub values: DeviceBuffer<F::Weight>,
    pub outputs: usize,
    pub inputs: usize,
}

/// Embedding table on the device.
pub struct DeviceTable<F: Format> {
    pub values: DeviceBuffer<F::Weight>,
    /// Scale of each row; empty in f16.
    pub scales: DeviceBuffer<f32>,
}

pub type DeviceLinear<F> = Linear<DeviceMatrix<F>, DeviceBuffer<<F as Format>::Output>>;
pub type DeviceNorm = LayerNorm<DeviceBuffer<f32>>;
pub type DeviceLayer<F> =
    Layer<DeviceMatrix<F>, DeviceBuffer<<F as Format>::Output>, DeviceBuffer<f32>>;
pub type DeviceModel<F> =
    Model<DeviceMatrix<F>, DeviceTable<F>, DeviceBuffer<<F as Format>::Output>, DeviceBuffer<f32>>;

/// Converts a checkpoint's matrices on the host, on threads of its own: the global pool of Rayon does not exist in a
/// forked process.
struct Convert<'a, F> {
    leader: RefCell<Leader<'a>>,
    format: PhantomData<F>,
}

/// Converted matrix on the host.
struct HostMatrix<F: Format> {
    values: Vec<F::Weight>,
    rows: Vec<F::RowData>,
    inputs: usize,
}

impl<F: Format> WeightStore for Convert<'_, F> {
    type Matrix = HostMatrix<F>;
    type Table = HostMatrix<F>;

    fn matrix(&self, matrix: Matrix<'_>) -> Result<HostMatrix<F>> {
        convert(&mut self.leader.borrow_mut(), &matrix, LARGEST_WEIGHT)
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<HostMatrix<F>> {
        convert(&mut self.leader.borrow_mut(), &matrix, LARGEST_EMBEDDING)
    }
}

/// Number of rows that a task reads in sequence, so that no block of the file is read by two tasks.
const TASK_ROWS: usize = 256;

/// Converts all rows of a matrix in parallel. If several rows have bad weights, the error names the first.
fn convert<F: Format>(
    leader: &mut Leader<'_>,
    matrix: &Matrix<'_>,
    max: i8,
) -> Result<HostMatrix<F>> {
    let inputs = matrix.inputs;
    let mut values = vec![F::Weight::default(); matrix.outputs * inputs];
    let mut rows: Vec<Vec<F::RowData>> = Vec::new();
    rows.resize_with(matrix.outputs.div_ceil(TASK_ROWS), Vec::new);
    let tasks = (Chunks::new(&mut values, TASK_ROWS * inputs), Chunks::new(&mut rows, 1));
    leader.try_for_each(tasks, |task, (to, row_data)| {
        let rows = task * TASK_ROWS..task * TASK_ROWS + to.len() / inputs;
        let (mut reader, mut floats) = (matrix.reader(rows.clone()), vec![0.0; inputs]);
        let rows = rows.zip(to.chunks_exact_mut(inputs));
        let read = rows.map(|(row, to)| F::read_row(&mut reader, row, max, &mut floats, to));
        row_data[0] = read.collect::<Result<_>>()?;
        Ok::<_, crate::Error>(())
    })?;
    Ok(HostMatrix { values, rows: rows.concat(), inputs })
}

/// Granularity of the matrix kernels' inputs and outputs.
const STEP: usize = 64;

/// Returns a width of heads or of a feed-forward network as the kernels compute it.
pub fn padded(width: usize) -> usize {
    width.next_multiple_of(STEP)
}

/// Pads a pruned layer with heads and neurons that are zero and so add nothing.
fn pad_layer<F: Format>(layer: Layer<HostMatrix<F>>) -> Layer<HostMatrix<F>> {
    Layer {
        query_key_value: pad_outputs(layer.query_key_value, 3),
        attention_output: pad_inputs(layer.attention_output),
        feed_forward_in: pad_outputs(layer.feed_forward_in, 1),
        feed_forward_out: pad_inputs(layer.feed_forward_out),
        ..layer
    }
}

/// Pads each of `parts` equal parts of the outputs.
fn pad_outputs<F: Format>(linear: Linear<HostMatrix<F>>, parts: usize) -> Linear<HostMatrix<F>> {
    let len = linear.weight.rows.len() / parts;
    if len == padded(len) {
        return linear;
    }
    let Linear { weight: HostMatrix { values, rows, inputs }, bias } = linear;
    let weights = values.chunks_exact(len * inputs);
    let row_data = rows.chunks_exact(len);
    Linear {
        weight: HostMatrix {
            values: weights.flat_map(|part| with_zeros(part, padded(len) * inputs)).collect(),
            rows: row_data.flat_map(|part| with_zeros(part, padded(len))).collect(),
            inputs,
        },
        bias: bias.chunks_exact(len).flat_map(|part| with_zeros(part, padded(len))).collect(),
    }
}

/// Pads the inputs.
fn pad_inputs<F: Format>(linear: Linear<HostMatrix<F>>) -> Linear<HostMatrix<F>> {
    let padded = padded(linear.weight.inputs);
    if padded == linear.weight.inputs {
        return linear;
    }
    let Linear { weight: HostMatrix { values, rows, inputs }, bias } = linear;
    let values = values.chunks_exact(inputs).flat_map(|row| with_zeros(row, padded)).collect();
    Linear { weight: HostMatrix { values, rows, inputs: padded }, bias }
}

/// Returns values, followed by zeros up to a length.
fn with_zeros<T: Copy + Default>(values: &[T], len: usize) -> impl Iterator<Item = T> {
    let zeros = std::iter::repeat_n(T::default(), len - values.len());
    values.iter().copied().chain(zeros)
}

/// Loads a checkpoint onto the device. Also completes the configuration.
pub fn load<F: Format>(
    stream: &Arc<CudaStream>,
    config: Config,
    checkpoint: &Checkpoint,
) -> Result<DeviceModel<F>> {
    let Model { config, embeddings, layers, head } =
        Threads::new(Threads::default_count())?.run(|leader| {
            let convert = Convert::<F> { leader: RefCell::new(leader), format: PhantomData };
            Model::load(config, checkpoint, &convert)
        })?;
    let upload = Upload { stream };
    let layer = |layer: Layer<HostMatrix<F>>| -> Result<_> {
        let layer = pad_layer(layer);
        Ok(Layer {
            query_key_value: upload.linear(layer.query_key_value)?,
            attention_output: upload.linear(layer.attention_output)?,
            attention_norm: upload.norm(&layer.attention_norm)?,
            feed_forward_in: upload.linear(layer.feed_forward_in)?,
            feed_forward_out: upload.linear(layer.feed_forward_out)?,
            feed_forward_norm: upload.norm(&layer.feed_forward_norm)?,
        })
    };
    Ok(Model {
        config,
        embeddings: Embeddings {
            word: upload.table(embeddings.word)?,
            position: upload.table(embeddings.position)?,
            layer_norm: upload.norm(&embeddings.layer_norm)?,
        },
        layers: layers.into_iter().map(layer).collect::<Result<_>>()?,
        head: Head {
            pre_classifier: upload.linear(head.pre_classifier)?,
            classifier: upload.linear(head.classifier)?,
            outputs: head.outputs,
        },
    })
}

/// Copies weights to the device.
struct Upload<'a> {
    stream: &'a Arc<CudaStream>,
}

impl Upload<'_> {
    fn linear<F: Format>(&self, linear: Linear<HostMatrix<F>>) -> Result<DeviceLinear<F>> {
        let HostMatrix { values, rows, inputs } = linear.weight;
        let weight = DeviceMatrix {
            values: DeviceBuffer::upload(self.stream, &values)?,
            outputs: rows.len(),
            inputs,
        };
        let outputs = F::outputs(&rows, linear.bias);
        Ok(Linear { weight, bias: DeviceBuffer::upload(self.stream, &outputs)? })
    }

    fn norm(&self, norm: &LayerNorm) -> Result<DeviceNorm> {
        Ok(LayerNorm {
            weight: DeviceBuffer::upload(self.stream, &norm.weight)?,
            bias: DeviceBuffer::upload(self.stream, &norm.bias)?,
            eps: norm.eps,
        })
    }

    fn table<F: Format>(&self, table: HostMatrix<F>) -> Result<DeviceTable<F>> {
        Ok(DeviceTable {
            values: DeviceBuffer::upload(self.stream, &table.values)?,
            scales: DeviceBuffer::upload(self.stream, &F::table_scales(&table.rows))?,
        })
    }
}
