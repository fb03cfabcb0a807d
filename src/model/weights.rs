//! The architecture as data: embeddings, layers and head, generic over how a backend stores a matrix.
//!
//! A backend implements [`WeightStore`], which turns a [`Matrix`] into its own form (packed, halved, quantized,
//! on a device), and gets the whole model with every matrix in that form. Small vectors stay `f32`.

use crate::error::{CheckpointError, ConfigError, Result};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::{Config, LayerShape, generic_labels};
use crate::model::family;
use crate::model::matrix::{Data, Matrix, Values};

/// Epsilon of DistilBERT's layer norms, for which `config.json` has no field.
const LAYER_NORM_EPS: f32 = 1e-12;

/// Size that a position table may have in addition to twice that of the weight files, in bytes.
const MOST_POSITION_BYTES: usize = 16 << 20;

/// Storage of weights in a backend's own form.
pub(crate) trait WeightStore {
    /// Matrix of a linear layer.
    type Matrix;
    /// Table of embeddings.
    type Table;

    /// Stores the matrix of a linear layer.
    fn matrix(&self, matrix: Matrix<'_>) -> Result<Self::Matrix>;

    /// Stores a table of embeddings.
    fn table(&self, matrix: Matrix<'_>) -> Result<Self::Table>;
}

/// `y = W x + b`.
#[derive(Clone)]
pub(crate) struct Linear<M, B = Vec<f32>> {
    pub weight: M,
    pub bias: B,
}

/// `y = (x − mean) / √(variance + eps) · weight + bias` over a token's vector.
#[derive(Clone)]
pub(crate) struct LayerNorm<V = Vec<f32>> {
    pub weight: V,
    pub bias: V,
    pub eps: f32,
}

/// Embedding tables and the layer normalization of their sum.
pub(crate) struct Embeddings<T, V = Vec<f32>> {
    /// `[vocab_size, dim]`
    pub word: T,
    /// `[max_position_embeddings, dim]`
    pub position: T,
    pub layer_norm: LayerNorm<V>,
}

/// Transformer layer: attention and a feed-forward network, each followed by a residual and a layer normalization.
#[derive(Clone)]
pub(crate) struct Layer<M, B = Vec<f32>, V = Vec<f32>> {
    /// Query, key and value as one matrix, in this order, each with an output for every value of every head.
    pub query_key_value: Linear<M, B>,
    pub attention_output: Linear<M, B>,
    pub attention_norm: LayerNorm<V>,
    pub feed_forward_in: Linear<M, B>,
    pub feed_forward_out: Linear<M, B>,
    pub feed_forward_norm: LayerNorm<V>,
}

/// Classification head: `classifier(relu(pre_classifier(cls)))`.
pub(crate) struct Head<M, B = Vec<f32>> {
    pub pre_classifier: Linear<M, B>,
    pub classifier: Linear<M, B>,
    /// Outputs of `classifier`.
    pub outputs: usize,
}

/// Weights and configuration of a whole model.
pub(crate) struct Model<M, T, B = Vec<f32>, V = Vec<f32>> {
    pub config: Config,
    pub embeddings: Embeddings<T, V>,
    pub layers: Vec<Layer<M, B, V>>,
    pub head: Head<M, B>,
}

impl<M, T> Model<M, T> {
    /// Loads a model, reading each tensor once and converting it directly into the store's form.
    ///
    /// A configuration without labels gets `LABEL_0`, `LABEL_1` and so on.
    ///
    /// # Errors
    /// [`CheckpointError::FileChanged`] if a weight file changed while it was being read; otherwise an error that names
    /// the tensor or file at fault.
    pub fn load(
        config: Config,
        checkpoint: &Checkpoint,
        store: &impl WeightStore<Matrix = M, Table = T>,
    ) -> Result<Self> {
        let model = Self::load_tensors(config, checkpoint, store);
        // If a file changed, any other error is a consequence of that.
        checkpoint.check_unchanged()?;
        model
    }

    fn load_tensors(
        mut config: Config,
        checkpoint: &Checkpoint,
        store: &impl WeightStore<Matrix = M, Table = T>,
    ) -> Result<Self> {
        let loader = Loader { checkpoint, store };
        family::check(&config, checkpoint)?;
        let outputs = head_outputs(checkpoint, &config)?;
        config.check_outputs(outputs)?;
        if config.id2label.is_empty() {
            config.id2label = generic_labels(outputs);
        }
        let embeddings = loader.embeddings(&config)?;
        let mut layers = Vec::new();
        for index in 0..config.n_layers {
            layers.push(loader.layer(&config, index)?);
        }
        let head = loader.head(&config, outputs)?;
        Ok(Self { config, embeddings, layers, head })
    }
}

/// Returns the rows of `classifier.weight`, which must match the labels if there are any.
fn head_outputs(checkpoint: &Checkpoint, config: &Config) -> Result<usize> {
    let labels = config.id2label.len();
    match checkpoint.shape("classifier.weight") {
        None => Err(CheckpointError::MissingTensor {
            name: "classifier.weight".to_owned(),
            expected: vec![labels.max(1), config.dim],
        }
        .into()),
        Some(&[rows, _]) if rows == 0 || (labels != 0 && rows != labels) => {
            Err(ConfigError::LabelCount { labels, rows }.into())
        }
        Some(&[rows, _]) => Ok(rows),
        Some(other) => Err(CheckpointError::TensorShape {
            name: "classifier.weight".to_owned(),
            expected: vec![labels.max(1), config.dim],
            found: other.to_owned(),
        }
        .into()),
    }
}

struct Loader<'a, S> {
    checkpoint: &'a Checkpoint,
    store: &'a S,
}

impl<S: WeightStore> Loader<'_, S> {
    fn embeddings(&self, config: &Config) -> Result<Embeddings<S::Table>> {
        const WORDS: &str = "embeddings.word_embeddings.weight";
        const POSITIONS: &str = "embeddings.position_embeddings.weight";
        let (words, positions, dim) =
            (config.vocab_size, config.max_position_embeddings, config.dim);
        let word = self.checkpoint.encoder_matrix(WORDS, words, dim)?;
        // In Hugging Face Transformers the table is a weight too; the formula only replaces a missing one.
        let position =
            if config.sinusoidal_pos_embds && !self.checkpoint.has_encoder_tensor(POSITIONS) {
                check_positions(config, self.checkpoint)?;
                let table = sinusoidal_positions(positions, dim);
                Values { name: POSITIONS.to_owned(), data: Data::Computed(table) }
            } else {
                self.checkpoint.encoder_matrix(POSITIONS, positions, dim)?
            };
        let table = |rows, values| self.store.table(Matrix::stack(rows, dim, vec![values]));
        Ok(Embeddings {
            word: table(words, word)?,
            position: table(positions, position)?,
            layer_norm: self.layer_norm("embeddings.LayerNorm", dim)?,
        })
    }

    fn layer(&self, config: &Config, index: usize) -> Result<Layer<S::Matrix>> {
        let dim = config.dim;
        let LayerShape { heads, hidden_dim } = config.layer(index);
        let width = heads * config.head_size();
        let name = |part: &str| format!("transformer.layer.{index}.{part}");
        let attention = |part: &str| name(&format!("attention.{part}"));
        Ok(Layer {
            query_key_value: self.encoder_linear(
                &[attention("q_lin"), attention("k_lin"), attention("v_lin")],
                width,
                dim,
            )?,
            attention_output: self.encoder_linear(&[attention("out_lin")], dim, width)?,
            attention_norm: self.layer_norm(&name("sa_layer_norm"), dim)?,
            feed_forward_in: self.encoder_linear(&[name("ffn.lin1")], hidden_dim, dim)?,
            feed_forward_out: self.encoder_linear(&[name("ffn.lin2")], dim, hidden_dim)?,
            feed_forward_norm: self.layer_norm(&name("output_layer_norm"), dim)?,
        })
    }

    fn head(&self, config: &Config, outputs: usize) -> Result<Head<S::Matrix>> {
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

    /// Loads several linear layers of `outputs` each as one, stacked in the order of `names`.
    fn encoder_linear(
        &self,
        names: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<S::Matrix>> {
        let mut parts = Vec::new();
        let mut bias = Vec::new();
        for name in names {
            let weight = format!("{name}.weight");
            parts.push(self.checkpoint.encoder_matrix(&weight, outputs, inputs)?);
            bias.extend(self.checkpoint.encoder_tensor(&format!("{name}.bias"), &[outputs])?);
        }
        let weight = self.store.matrix(Matrix::stack(outputs, inputs, parts))?;
        Ok(Linear { weight, bias })
    }

    fn head_linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear<S::Matrix>> {
        let values = self.checkpoint.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let bias = self.checkpoint.tensor(&format!("{name}.bias"), &[outputs])?;
        let weight = self.store.matrix(Matrix::stack(outputs, inputs, vec![values]))?;
        Ok(Linear { weight, bias })
    }
}

/// Computes Hugging Face's `create_sinusoidal_embeddings`: column `j` of row `p` is the sine (even `j`) or
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

/// Checks that a position table that the checkpoint leaves out is not much larger than the checkpoint, so that a small
/// folder cannot ask for an arbitrary amount of memory.
fn check_positions(config: &Config, checkpoint: &Checkpoint) -> Result<(), ConfigError> {
    let row = config.dim.saturating_mul(size_of::<f32>());
    let limit = checkpoint.bytes().saturating_mul(2).saturating_add(MOST_POSITION_BYTES) / row;
    if config.max_position_embeddings <= limit {
        return Ok(());
    }
    Err(ConfigError::Field {
        field: "max_position_embeddings",
        expected: format!("at most {limit}, as the weight files hold no position table"),
        found: config.max_position_embeddings.to_string(),
    })
}
