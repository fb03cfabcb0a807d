//! The architecture as data: embeddings, layers and head, generic over how a matrix is held.
//!
//! A backend says how it wants a [`Matrix`] (packed, halved, quantised, on a device) and gets the
//! whole model with every matrix in that form; small vectors stay `f32`.

use crate::checkpoint::Checkpoint;
use crate::config::{Config, generic_labels};
use crate::error::{Error, Result};

/// DistilBERT's own value: its configuration has no field for it.
const LAYER_NORM_EPS: f32 = 1e-12;

/// A weight matrix as the checkpoint has it: `outputs` rows of `inputs` values.
pub(crate) struct Matrix {
    pub outputs: usize,
    pub inputs: usize,
    pub values: Vec<f32>,
}

/// A weight of a [`Matrix`] that the form in which it is to be held cannot express.
#[derive(Debug)]
pub(crate) struct OutOfRange {
    /// Row-major index.
    pub index: usize,
    pub found: f32,
}

/// `y = W x + b`.
pub(crate) struct Linear<M> {
    pub weight: M,
    pub bias: Vec<f32>,
}

/// `y = (x − mean) / √(variance + eps) · weight + bias` over a token's vector.
pub(crate) struct LayerNorm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub eps: f32,
}

pub(crate) struct Embeddings {
    /// `[vocab_size, dim]`
    pub word: Vec<f32>,
    /// `[max_position_embeddings, dim]`
    pub position: Vec<f32>,
    pub layer_norm: LayerNorm,
}

pub(crate) struct Layer<M> {
    /// Query, key and value as one matrix of `3·dim` outputs, in this order.
    pub query_key_value: Linear<M>,
    pub attention_output: Linear<M>,
    pub attention_norm: LayerNorm,
    pub feed_forward_in: Linear<M>,
    pub feed_forward_out: Linear<M>,
    pub feed_forward_norm: LayerNorm,
}

/// The classification head: `classifier(relu(pre_classifier(cls)))`.
pub(crate) struct Head<M> {
    pub pre_classifier: Linear<M>,
    pub classifier: Linear<M>,
    /// Outputs of `classifier`.
    pub outputs: usize,
}

pub(crate) struct Model<M> {
    pub config: Config,
    pub embeddings: Embeddings,
    pub layers: Vec<Layer<M>>,
    pub head: Head<M>,
}

impl<M> Model<M> {
    /// Loads tensor after tensor, so that at no time two copies of the weights exist.
    ///
    /// The configuration's labels are completed with `LABEL_0`… where it has none.
    pub fn load(
        mut config: Config,
        checkpoint: &Checkpoint,
        hold: impl FnMut(Matrix) -> Result<M, OutOfRange>,
    ) -> Result<Self> {
        let mut loader = Loader { checkpoint, hold };
        let outputs = head_outputs(checkpoint, &config)?;
        if config.id2label.is_empty() {
            config.id2label = generic_labels(outputs);
        }
        let embeddings = loader.embeddings(&config)?;
        let layers = (0..config.n_layers)
            .map(|index| loader.layer(&config, index))
            .collect::<Result<_>>()?;
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

struct Loader<'a, F> {
    checkpoint: &'a Checkpoint,
    hold: F,
}

impl<M, F: FnMut(Matrix) -> Result<M, OutOfRange>> Loader<'_, F> {
    fn embeddings(&self, config: &Config) -> Result<Embeddings> {
        const POSITIONS: &str = "embeddings.position_embeddings.weight";
        let (positions, dim) = (config.max_position_embeddings, config.dim);
        let word = self
            .checkpoint
            .encoder_tensor("embeddings.word_embeddings.weight", &[config.vocab_size, dim])?;
        // The table is a weight in Hugging Face too; the formula only fills in for an absent one.
        let position =
            if config.sinusoidal_pos_embds && !self.checkpoint.has_encoder_tensor(POSITIONS) {
                sinusoidal_positions(positions, dim)
            } else {
                self.checkpoint.encoder_tensor(POSITIONS, &[positions, dim])?
            };
        Ok(Embeddings { word, position, layer_norm: self.layer_norm("embeddings.LayerNorm", dim)? })
    }

    fn layer(&mut self, config: &Config, index: usize) -> Result<Layer<M>> {
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

    fn head(&mut self, config: &Config, outputs: usize) -> Result<Head<M>> {
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
        &mut self,
        names: &[String],
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear<M>> {
        let mut values = Vec::new();
        let mut bias = Vec::new();
        for name in names {
            let part =
                self.checkpoint.encoder_tensor(&format!("{name}.weight"), &[outputs, inputs])?;
            // Known to fit only now: the shape has been found in the file.
            values.reserve_exact(part.len() * names.len() - values.len());
            values.extend(part);
            bias.extend(self.checkpoint.encoder_tensor(&format!("{name}.bias"), &[outputs])?);
        }
        self.linear(names, Matrix { outputs: outputs * names.len(), inputs, values }, bias)
    }

    fn head_linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear<M>> {
        let values = self.checkpoint.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.checkpoint.tensor(&format!("{name}.bias"), &[outputs])?;
        self.linear(&[name.to_owned()], Matrix { outputs, inputs, values }, bias)
    }

    /// Hands the matrix, stacked of the matrices of `names`, to the backend.
    fn linear(&mut self, names: &[String], matrix: Matrix, bias: Vec<f32>) -> Result<Linear<M>> {
        let part = matrix.values.len() / names.len();
        let weight =
            (self.hold)(matrix).map_err(|OutOfRange { index, found }| Error::OutOfRange {
                name: format!("{}.weight", names[index / part]),
                index: index % part,
                found,
            })?;
        Ok(Linear { weight, bias })
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
