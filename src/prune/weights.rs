//! A model's layers as plain matrices: loading, slicing and the tensors to write.

use std::collections::BTreeMap;

use crate::convert::{Content, Tensor};
use crate::cpu::layers::{DenseLayer, DenseMatrix};
use crate::error::Result;
use crate::model::checkpoint::{Checkpoint, Dtype, ENCODER_PREFIX};
use crate::model::config::Config;
use crate::model::matrix::Matrix;
use crate::model::weights::{Linear, Model, WeightStore};

/// Stores matrices as plain values, and skips tables.
struct Plain;

impl WeightStore for Plain {
    type Matrix = DenseMatrix;
    type Table = ();

    fn matrix(&self, matrix: Matrix<'_>) -> Result<DenseMatrix> {
        let mut values = vec![0.0; matrix.outputs * matrix.inputs];
        matrix.read_rows(0..matrix.outputs, &mut values)?;
        Ok(DenseMatrix { outputs: matrix.outputs, inputs: matrix.inputs, values })
    }

    fn table(&self, _: Matrix<'_>) -> Result<()> {
        Ok(())
    }
}

/// Loads a model's layers, and its configuration with labels.
pub(super) fn load(config: Config, checkpoint: &Checkpoint) -> Result<(Config, Vec<DenseLayer>)> {
    let Model { config, layers, .. } = Model::load(config, checkpoint, &Plain)?;
    Ok((config, layers))
}

/// Heads and neurons that a layer keeps, both ascending, by their index in the original layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub heads: Vec<usize>,
    pub neurons: Vec<usize>,
}

impl Kept {
    /// Returns the layer with these heads and neurons alone.
    pub fn slice(&self, layer: &DenseLayer, head_size: usize) -> DenseLayer {
        let values: Vec<usize> =
            self.heads.iter().flat_map(|head| head * head_size..(head + 1) * head_size).collect();
        let width = layer.attention_output.weight.inputs;
        let projections: Vec<usize> =
            (0..3).flat_map(|part| values.iter().map(move |value| part * width + value)).collect();
        DenseLayer {
            query_key_value: outputs(&layer.query_key_value, &projections),
            attention_output: inputs(&layer.attention_output, &values),
            attention_norm: layer.attention_norm.clone(),
            feed_forward_in: outputs(&layer.feed_forward_in, &self.neurons),
            feed_forward_out: inputs(&layer.feed_forward_out, &self.neurons),
            feed_forward_norm: layer.feed_forward_norm.clone(),
        }
    }
}

/// Returns a linear layer with some of its outputs.
fn outputs(linear: &Linear<DenseMatrix>, kept: &[usize]) -> Linear<DenseMatrix> {
    let DenseMatrix { inputs, values, .. } = &linear.weight;
    let rows = kept.iter().flat_map(|row| &values[row * inputs..(row + 1) * inputs]);
    let weight =
        DenseMatrix { outputs: kept.len(), inputs: *inputs, values: rows.copied().collect() };
    Linear { weight, bias: kept.iter().map(|&row| linear.bias[row]).collect() }
}

/// Returns a linear layer with some of its inputs.
fn inputs(linear: &Linear<DenseMatrix>, kept: &[usize]) -> Linear<DenseMatrix> {
    let DenseMatrix { outputs, inputs, values } = &linear.weight;
    let rows = values.chunks_exact(*inputs);
    let values = rows.flat_map(|row| kept.iter().map(|&column| row[column])).collect();
    let weight = DenseMatrix { outputs: *outputs, inputs: kept.len(), values };
    Linear { weight, bias: linear.bias.clone() }
}

/// Rounding to the type in which a checkpoint stores its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rounding {
    F32,
    F16,
    Bf16,
}

impl Rounding {
    /// Returns the rounding of a checkpoint's layers.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        match checkpoint.embeddings_dtype() {
            Some(Dtype::F16) => Self::F16,
            Some(Dtype::Bf16) => Self::Bf16,
            _ => Self::F32,
        }
    }

    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => half::f16::from_f32(value).to_f32(),
            Self::Bf16 => half::bf16::from_f32(value).to_f32(),
        }
    }

    fn tensor(self, shape: Vec<usize>, values: &[f32]) -> Tensor<'static> {
        use safetensors::Dtype;
        let (dtype, bytes): (_, Vec<u8>) = match self {
            Self::F32 => {
                (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Self::F16 => {
                let halves = values.iter().map(|&value| half::f16::from_f32(value));
                (Dtype::F16, halves.flat_map(half::f16::to_le_bytes).collect())
            }
            Self::Bf16 => {
                let halves = values.iter().map(|&value| half::bf16::from_f32(value));
                (Dtype::BF16, halves.flat_map(half::bf16::to_le_bytes).collect())
            }
        };
        Tensor { dtype, shape, content: Content::Bytes(bytes) }
    }

    /// Replaces a layer's tensors by those of `layer`, except its norms, which pruning leaves as they are.
    pub fn replace(
        self,
        tensors: &mut BTreeMap<String, Tensor<'_>>,
        index: usize,
        layer: &DenseLayer,
    ) {
        let mut put = |name: &str, weight: &[f32], bias: &[f32]| {
            let name = format!("{ENCODER_PREFIX}transformer.layer.{index}.{name}");
            let shape = vec![bias.len(), weight.len() / bias.len()];
            tensors.insert(format!("{name}.weight"), self.tensor(shape, weight));
            tensors.insert(format!("{name}.bias"), self.tensor(vec![bias.len()], bias));
        };
        let Linear { weight, bias } = &layer.query_key_value;
        let weights = weight.values.chunks_exact(weight.values.len() / 3);
        let biases = bias.chunks_exact(bias.len() / 3);
        for (name, (weight, bias)) in ["q_lin", "k_lin", "v_lin"].iter().zip(weights.zip(biases)) {
            put(&format!("attention.{name}"), weight, bias);
        }
        for (name, linear) in [
            ("attention.out_lin", &layer.attention_output),
            ("ffn.lin1", &layer.feed_forward_in),
            ("ffn.lin2", &layer.feed_forward_out),
        ] {
            put(name, &linear.weight.values, &linear.bias);
        }
    }
}
