//! The architecture as data: embeddings, layers and head, generic over how a matrix is held.
//!
//! A backend says how it wants a [`Matrix`] (packed, halved, quantised, on a device) and gets the
//! whole model with every matrix in that form; small vectors stay `f32`.

use crate::error::{Error, Result};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::{Config, generic_labels};
use crate::model::matrix::{BadWeight, Matrix, Values};

/// DistilBERT's own value: its configuration has no field for it.
const LAYER_NORM_EPS: f32 = 1e-12;

/// How a backend holds weights.
pub(crate) trait Hold {
    /// A matrix of a linear layer.
    type Matrix;
    /// A table of embeddings.
    type Table;

    fn matrix(&self, matrix: Matrix<'_>) -> Result<Self::Matrix, BadWeight>;
    fn table(&self, matrix: Matrix<'_>) -> Result<Self::Table, BadWeight>;
}

/// `y = W x + b`.
pub(crate) struct Linear<M, B = Vec<f32>> {
    pub weight: M,
    pub bias: B,
}

/// `y = (x − mean) / √(variance + eps) · weight + bias` over a token's vector.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct LayerNorm<V = Vec<f32>> {
    pub weight: V,
    pub bias: V,
    pub eps: f32,
}

pub(crate) struct Embeddings<T, V = Vec<f32>> {
    /// `[vocab_size, dim]`
    pub word: T,
    /// `[max_position_embeddings, dim]`
    pub position: T,
    pub layer_norm: LayerNorm<V>,
}

pub(crate) struct Layer<M, B = Vec<f32>, V = Vec<f32>> {
    /// Query, key and value as one matrix of `3·dim` outputs, in this order.
    pub query_key_value: Linear<M, B>,
    pub attention_output: Linear<M, B>,
    pub attention_norm: LayerNorm<V>,
    pub feed_forward_in: Linear<M, B>,
    pub feed_forward_out: Linear<M, B>,
    pub feed_forward_norm: LayerNorm<V>,
}

/// The classification head: `classifier(relu(pre_classifier(cls)))`.
pub(crate) struct Head<M, B = Vec<f32>> {
    pub pre_classifier: Linear<M, B>,
    pub classifier: Linear<M, B>,
    /// Outputs of `classifier`.
    pub outputs: usize,
}

pub(crate) struct Model<M, T, B = Vec<f32>, V = Vec<f32>> {
    pub config: Config,
    pub embeddings: Embeddings<T, V>,
    pub layers: Vec<Layer<M, B, V>>,
    pub head: Head<M, B>,
}

impl<M, T> Model<M, T> {
    /// Loads tensor after tensor, and lets go of each layer's file pages before the next, so that at no time
    /// two copies of the weights are in memory.
    ///
    /// The configuration's labels are completed with `LABEL_0`… where it has none.
    pub fn load(
        mut config: Config,
        checkpoint: &Checkpoint,
        hold: &impl Hold<Matrix = M, Table = T>,
    ) -> Result<Self> {
        let loader = Loader { checkpoint, hold };
        let outputs = head_outputs(checkpoint, &config)?;
        if config.id2label.is_empty() {
            config.id2label = generic_labels(outputs);
        }
        let embeddings = loader.embeddings(&config)?;
        checkpoint.release();
        let mut layers = Vec::new();
        for index in 0..config.n_layers {
            layers.push(loader.layer(&config, index)?);
            checkpoint.release();
        }
        let head = loader.head(&config, outputs)?;
        Ok(Self { config, embeddings, layers, head })
    }
}

/// Rows of `classifier.weight`, which must agree with the labels where there are any.
fn head_outputs(checkpoint: &Checkpoint, config: &Config) -> Result<usize> {
    let labels = config.id2label.len();
    match checkpoint.shape("classifier.weight") {
        None => Err(Error::MissingTensor {
            name: "classifier.weight".to_owned(),
            expected: vec![labels.max(1), config.dim],
        }),
        Some(&[rows, _]) if rows == 0 || (labels != 0 && rows != labels) => {
            Err(Error::LabelCount { labels, rows })
        }
        Some(&[rows, _]) => Ok(rows),
        Some(other) => Err(Error::TensorShape {
            name: "classifier.weight".to_owned(),
            expected: vec![labels.max(1), config.dim],
            found: other.to_owned(),
        }),
    }
}

struct Loader<'a, H> {
    checkpoint: &'a Checkpoint,
    hold: &'a H,
}

impl<H: Hold> Loader<'_, H> {
    fn embeddings(&self, config: &Config) -> Result<Embeddings<H::Table>> {
        const WORDS: &str = "embeddings.word_embeddings.weight";
        const POSITIONS: &str = "embeddings.position_embeddings.weight";
        let (words, positions, dim) =
            (config.vocab_size, config.max_position_embeddings, config.dim);
        let word = self.checkpoint.encoder_matrix(WORDS, words, dim)?;
        // The table is a weight in Hugging Face too; the formula only fills in for an absent one.
        let position =
            if config.sinusoidal_pos_embds && !self.checkpoint.has_encoder_tensor(POSITIONS) {
                Values::Computed(sinusoidal_positions(positions, dim))
            } else {
                self.checkpoint.encoder_matrix(POSITIONS, positions, dim)?
            };
        let table = |name: &str, rows, values| {
            let matrix = Matrix { outputs: rows, inputs: dim, parts: vec![values] };
            self.hold.table(matrix).map_err(|bad| bad_weight(name.to_owned(), bad))
        };
        Ok(Embeddings {
            word: table(WORDS, words, word)?,
            position: table(POSITIONS, positions, position)?,
            layer_norm: self.layer_norm("embeddings.LayerNorm", dim)?,
        })
    }

    fn layer(&self, config: &Config, index: usize) -> Result<Layer<H::Matrix>> {
        let (dim, hidden_dim) = (config.dim, config.hidden_dim);
        let name = |part: &str| format!("transformer.layer.{index}.{part}");
        let attention = |part: &str| name(&format!("attention.{part}"));
        Ok(Layer {
            query_key_value: self.encoder_linear(
                &[attention("q_lin"), attention("k_lin"), attention("v_lin")],
                dim,
                dim,
            )?,
            attention_output: self.encoder_linear(&[attention("out_lin")], dim, dim)?,
            attention_norm: self.layer_norm(&name("sa_layer_norm"), dim)?,
            feed_forward_in: self.encoder_linear(&[name("ffn.lin1")], hidden_dim, dim)?,
            feed_forward_out: self.encoder_linear(&[name("ffn.lin2")], dim, hidden_dim)?,
            feed_forward_norm: self.layer_norm(&name("output_layer_norm"), dim)?,
        })
    }

    fn head(&self, config: &Config, outputs: usize) -> Result<Head<H::Matrix>> {
        let dim = config.dim;
        Ok(Head {
            pre_classifier: self.head_linear("pre_classifier", dim, dim)?,
            classifier: self.head_linear("classifier", outputs, dim)?,
            outputs,
        })
    }

    fn layer_norm(&self, name: &str, dim: usize) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.checkpoint.encoder_tensor(&format!("{name}.weight"), &[dim])?,
            bias: self.checkpoint.encoder_tensor(&format!("{name}.bias"), &[dim])?,
            eps: LAYER_NORM_EPS,
        })
    }

    /// One linear layer out of several of `outputs` each, stacked in the order of `names`.
    fn encoder_linear(
        &self,
        names: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<H::Matrix>> {
        let mut parts = Vec::new();
        let mut bias = Vec::new();
        for name in names {
            parts.push(self.checkpoint.encoder_matrix(
                &format!("{name}.weight"),
                outputs,
                inputs,
            )?);
            bias.extend(self.checkpoint.encoder_tensor(&format!("{name}.bias"), &[outputs])?);
        }
        self.linear(names, Matrix { outputs: outputs * names.len(), inputs, parts }, bias)
    }

    fn head_linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear<H::Matrix>> {
        let values = self.checkpoint.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let bias = self.checkpoint.tensor(&format!("{name}.bias"), &[outputs])?;
        self.linear(&[name.to_owned()], Matrix { outputs, inputs, parts: vec![values] }, bias)
    }

    /// Hands the matrix, stacked of the matrices of `names`, to the backend.
    fn linear(
        &self,
        names: &[String],
        matrix: Matrix<'_>,
        bias: Vec<f32>,
    ) -> Result<Linear<H::Matrix>> {
        let part = matrix.outputs * matrix.inputs / names.len();
        let weight = self.hold.matrix(matrix).map_err(|BadWeight { index, found }| {
            let name = format!("{}.weight", names[index / part]);
            bad_weight(name, BadWeight { index: index % part, found })
        })?;
        Ok(Linear { weight, bias })
    }
}

/// The error of a weight that is no number, or too large for the form in which it is to be held.
pub(crate) fn bad_weight(name: String, BadWeight { index, found }: BadWeight) -> Error {
    if found.is_finite() {
        Error::OutOfRange { name, index, found }
    } else {
        Error::NotFinite { name, index, found }
    }
}

/// Hugging Face's `create_sinusoidal_embeddings`: column `j` of row `p` is the sine (even `j`) or
/// the cosine (odd `j`) of `p / 10000^(2·⌊j/2⌋/dim)`, in `f64`, rounded once.
fn sinusoidal_positions(positions: usize, dim: usize) -> Vec<f32> {
    let mut table = Vec::with_capacity(positions * dim);
    for position in 0..positions {
        for column in 0..dim {
            let exponent = (2 * (column / 2)) as f64 / dim as f64;
            let angle = position as f64 / 10000f64.powf(exponent);
            let value = if column % 2 == 0 { angle.sin() } else { angle.cos() };
            table.push(value as f32);
        }
    }
    table
}
