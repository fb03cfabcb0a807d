//! Parsing and validation of `config.json`.

mod labels;
mod shapes;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

pub(crate) use self::labels::generic_labels;
pub use self::shapes::LayerShape;
use super::files::{CONFIG, ModelFiles, read_json_object};
use super::{checkpoint, family};
use crate::error::{ConfigError, Error, Result};
use crate::names::impl_names;

/// Largest size in a configuration, so that products of two sizes fit in 64 bits.
const LARGEST_SIZE: usize = 1 << 24;

/// Activation between the two layers of the feed-forward network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x · Φ(x)` with the exact error function.
    #[default]
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// Meaning of the head's outputs, Hugging Face's `problem_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// Exactly one label, by softmax.
    SingleLabelClassification,
    /// Any number of labels, each by a sigmoid.
    MultiLabelClassification,
    /// Values without an activation.
    Regression,
}

impl_names!(Activation, "activation", { Gelu => "gelu", Relu => "relu" });

impl_names!(ProblemType, "problem type", {
    SingleLabelClassification => "single_label_classification",
    MultiLabelClassification => "multi_label_classification",
    Regression => "regression",
});

impl ProblemType {
    /// Returns Hugging Face's name.
    pub fn as_str(self) -> &'static str {
        self.name()
    }
}

/// Settings of `DistilBertConfig` that matter for inference, under Hugging Face's names.
///
/// Fields missing from `config.json` have Hugging Face's defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Width of a token's vector.
    pub dim: usize,
    /// Width of the feed-forward network's inner layer, unless [`hidden_dims`](Self::hidden_dims) lists one per layer.
    pub hidden_dim: usize,
    /// Number of transformer layers.
    pub n_layers: usize,
    /// Attention heads per layer, a divisor of `dim`; [`pruned_heads`](Self::pruned_heads) lists those that are missing.
    pub n_heads: usize,
    /// Heads that were removed from a layer, ascending, by the layer's index. Empty for most models.
    pub pruned_heads: BTreeMap<usize, Vec<usize>>,
    /// Width of the feed-forward network's inner layer in each layer, or empty if it is `hidden_dim` in all. The field
    /// is this crate's own.
    pub hidden_dims: Vec<usize>,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Rows of the position table: the maximum number of tokens of a text, special tokens included.
    pub max_position_embeddings: usize,
    /// `true` if position embeddings are sinusoidal, in which case a checkpoint may leave them out.
    pub sinusoidal_pos_embds: bool,
    /// Activation of the feed-forward network.
    pub activation: Activation,
    /// Token id of `[PAD]`.
    pub pad_token_id: u32,
    /// Names of the head's outputs in order; empty if `config.json` has none.
    pub id2label: Vec<String>,
    /// Meaning of the head's outputs, if `config.json` specifies it.
    pub problem_type: Option<ProblemType>,
    /// Class that Transformers saved, if `config.json` names one.
    pub(crate) architecture: Option<String>,
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`ConfigError::Json`], or [`ConfigError::Field`] with the field at fault.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self::from_json(&read_json_object(path)?)?)
    }

    /// Reads `config.json` of a model.
    pub(crate) fn from_files(files: &ModelFiles) -> Result<Self> {
        let json = files.read_json(CONFIG)?;
        if json.is_none() && files.exists(checkpoint::ADAPTER) {
            return Err(checkpoint::adapter(files).into());
        }
        let missing = || Error::reading(&files.path(CONFIG))(io::ErrorKind::NotFound.into());
        Ok(Self::from_json(&json.ok_or_else(missing)?)?)
    }

    fn from_json(json: &Map<String, Value>) -> Result<Self, ConfigError> {
        if let Some(found) = json.get("model_type")
            && found != "distilbert"
        {
            let class = family::architecture(json).map(|class| family::describe(&class));
            return Err(ConfigError::Field {
                field: "model_type",
                expected: "\"distilbert\", with a head for sequence classification".to_owned(),
                found: match class {
                    Some(class) => format!("{found} ({class})"),
                    None => found.to_string(),
                },
            });
        }
        let vocab_size = size(json, "vocab_size", 30522)?;
        let n_layers = aliased(json, "num_hidden_layers", "n_layers", 6)?;
        let n_heads = aliased(json, "num_attention_heads", "n_heads", 12)?;
        let config = Self {
            dim: aliased(json, "hidden_size", "dim", 768)?,
            hidden_dim: match json.contains_key("hidden_dim") {
                true => size(json, "hidden_dim", 3072)?,
                false => size(json, "intermediate_size", 3072)?,
            },
            n_layers,
            n_heads,
            pruned_heads: shapes::pruned_heads(json, n_layers, n_heads)?,
            hidden_dims: shapes::hidden_dims(json, n_layers)?,
            vocab_size,
            max_position_embeddings: size(json, "max_position_embeddings", 512)?,
            sinusoidal_pos_embds: boolean(json, "sinusoidal_pos_embds", false)?,
            activation: activation(json)?,
            pad_token_id: pad_token_id(json, vocab_size)?,
            id2label: labels::labels(json)?,
            problem_type: problem_type(json)?,
            architecture: family::architecture(json),
        };
        config.check_outputs(config.id2label.len())?;
        if !config.dim.is_multiple_of(config.n_heads) {
            return Err(ConfigError::Field {
                field: "n_heads",
                expected: format!("a divisor of dim ({})", config.dim),
                found: config.n_heads.to_string(),
            });
        }
        Ok(config)
    }

    /// Returns the width of one attention head.
    pub fn head_size(&self) -> usize {
        self.dim / self.n_heads
    }

    /// Checks that the problem type suits the number of outputs: the softmax of a single output is always 1.
    pub(crate) fn check_outputs(&self, outputs: usize) -> Result<(), ConfigError> {
        if outputs == 1 && self.problem_type == Some(ProblemType::SingleLabelClassification) {
            return Err(ConfigError::Field {
                field: "problem_type",
                expected: "multi_label_classification or regression for a model with one output"
                    .to_owned(),
                found: ProblemType::SingleLabelClassification.name().to_owned(),
            });
        }
        Ok(())
    }

    /// Returns the stated problem type, or the default of Hugging Face's pipeline: a sigmoid for one output, a softmax
    /// for more. When Transformers trains a regression model, it states the problem type.
    pub(crate) fn problem_type_for(&self, outputs: usize) -> ProblemType {
        self.problem_type.unwrap_or(if outputs == 1 {
            ProblemType::MultiLabelClassification
        } else {
            ProblemType::SingleLabelClassification
        })
    }
}

fn mismatch(field: &'static str, expected: &str, found: &Value) -> ConfigError {
    ConfigError::Field { field, expected: expected.to_owned(), found: found.to_string() }
}

fn size(
    json: &Map<String, Value>,
    field: &'static str,
    default: usize,
) -> Result<usize, ConfigError> {
    let Some(value) = json.get(field) else {
        return Ok(default);
    };
    value
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| (1..=LARGEST_SIZE).contains(size))
        .ok_or_else(|| mismatch(field, &format!("a whole number from 1 to {LARGEST_SIZE}"), value))
}

/// Reads a size that has two names in Transformers, which lets `alias` win.
fn aliased(
    json: &Map<String, Value>,
    alias: &'static str,
    field: &'static str,
    default: usize,
) -> Result<usize, ConfigError> {
    size(json, if json.contains_key(alias) { alias } else { field }, default)
}

fn boolean(
    json: &Map<String, Value>,
    field: &'static str,
    default: bool,
) -> Result<bool, ConfigError> {
    match json.get(field) {
        None => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(mismatch(field, "true or false", other)),
    }
}

fn activation(json: &Map<String, Value>) -> Result<Activation, ConfigError> {
    match json.get("activation") {
        None => Ok(Activation::Gelu),
        Some(value) => match value.as_str() {
            Some("gelu") => Ok(Activation::Gelu),
            Some("relu") => Ok(Activation::Relu),
            _ => Err(mismatch("activation", "\"gelu\" or \"relu\"", value)),
        },
    }
}

/// Reads the id of `[PAD]`. A negative id counts from the end of the vocabulary, as in PyTorch.
fn pad_token_id(json: &Map<String, Value>, vocab_size: usize) -> Result<u32, ConfigError> {
    let Some(value) = json.get("pad_token_id").filter(|value| !value.is_null()) else {
        return Ok(0);
    };
    value
        .as_i64()
        .and_then(|id| if id < 0 { id.checked_add_unsigned(vocab_size as u64) } else { Some(id) })
        .and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| mismatch("pad_token_id", "a token id", value))
}

fn problem_type(json: &Map<String, Value>) -> Result<Option<ProblemType>, ConfigError> {
    let Some(value) = json.get("problem_type").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    [
        ProblemType::SingleLabelClassification,
        ProblemType::MultiLabelClassification,
        ProblemType::Regression,
    ]
    .into_iter()
    .find(|kind| value == kind.as_str())
    .map(Some)
    .ok_or_else(|| {
        mismatch(
            "problem_type",
            "single_label_classification, multi_label_classification or regression",
            value,
        )
    })
}

#[cfg(test)]
mod tests;
