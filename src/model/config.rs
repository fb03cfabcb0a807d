//! Parsing and validation of `config.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::files::{ModelFiles, read_json_object};
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
    /// Width of the feed-forward network's inner layer.
    pub hidden_dim: usize,
    /// Number of transformer layers.
    pub n_layers: usize,
    /// Attention heads per layer, a divisor of `dim`.
    pub n_heads: usize,
    /// Rows of the word embedding table.
    pub vocab_size: usize,
    /// Rows of the position table: the maximum number of tokens of a text, special tokens included.
    pub max_position_embeddings: usize,
    /// `true` if positions are sines and cosines, which a checkpoint may leave out.
    pub sinusoidal_pos_embds: bool,
    /// Activation of the feed-forward network.
    pub activation: Activation,
    /// Token id of `[PAD]`.
    pub pad_token_id: u32,
    /// Names of the head's outputs in order; empty if `config.json` has none.
    pub id2label: Vec<String>,
    /// Meaning of the head's outputs, if `config.json` states it.
    pub problem_type: Option<ProblemType>,
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
        let json = files.read_json("config.json")?;
        let missing = || Error::reading(&files.path("config.json"))(io::ErrorKind::NotFound.into());
        Ok(Self::from_json(&json.ok_or_else(missing)?)?)
    }

    fn from_json(json: &Map<String, Value>) -> Result<Self, ConfigError> {
        if let Some(found) = json.get("model_type")
            && found != "distilbert"
        {
            return Err(mismatch("model_type", "\"distilbert\"", found));
        }
        let config = Self {
            dim: size(json, "dim", 768)?,
            hidden_dim: size(json, "hidden_dim", 3072)?,
            n_layers: size(json, "n_layers", 6)?,
            n_heads: size(json, "n_heads", 12)?,
            vocab_size: size(json, "vocab_size", 30522)?,
            max_position_embeddings: size(json, "max_position_embeddings", 512)?,
            sinusoidal_pos_embds: boolean(json, "sinusoidal_pos_embds", false)?,
            activation: activation(json)?,
            pad_token_id: pad_token_id(json)?,
            id2label: labels(json)?,
            problem_type: problem_type(json)?,
        };
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

    /// Returns the stated problem type, or Hugging Face's default: regression for one output, a single label
    /// for more.
    pub(crate) fn problem_type_for(&self, outputs: usize) -> ProblemType {
        self.problem_type.unwrap_or(if outputs == 1 {
            ProblemType::Regression
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

fn pad_token_id(json: &Map<String, Value>) -> Result<u32, ConfigError> {
    match json.get("pad_token_id") {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| mismatch("pad_token_id", "a token id", value)),
    }
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

/// Returns the labels in the order of their ids, `LABEL_0` and so on for a bare `num_labels`, or none.
fn labels(json: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let labels = match json.get("id2label").filter(|value| !value.is_null()) {
        Some(value) => labels_by_id(value)?,
        None => match json.get("num_labels").filter(|value| !value.is_null()) {
            Some(_) => generic_labels(size(json, "num_labels", 2)?),
            None => Vec::new(),
        },
    };
    if let Some(value) = json.get("num_labels").filter(|value| !value.is_null())
        && value.as_u64() != Some(labels.len() as u64)
    {
        return Err(mismatch("num_labels", &format!("{} as in id2label", labels.len()), value));
    }
    if let Some(value) = json.get("label2id").filter(|value| !value.is_null()) {
        check_label2id(value, &labels)?;
    }
    Ok(labels)
}

/// Returns Hugging Face's default names of outputs.
pub(crate) fn generic_labels(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("LABEL_{id}")).collect()
}

fn labels_by_id(value: &Value) -> Result<Vec<String>, ConfigError> {
    let wrong = || mismatch("id2label", "names for the ids 0, 1, 2 and so on", value);
    let by_id: BTreeMap<usize, String> = value
        .as_object()
        .ok_or_else(wrong)?
        .iter()
        .map(|(id, label)| Some((id.parse().ok()?, label.as_str()?.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if by_id.is_empty() || !by_id.keys().copied().eq(0..by_id.len()) {
        return Err(wrong());
    }
    Ok(by_id.into_values().collect())
}

/// Checks that the entries of `label2id` agree with `id2label`.
fn check_label2id(value: &Value, labels: &[String]) -> Result<(), ConfigError> {
    let agrees = value.as_object().is_some_and(|map| {
        map.iter().all(|(label, id)| {
            id.as_u64()
                .and_then(|id| labels.get(usize::try_from(id).ok()?))
                .is_some_and(|known| known == label)
        })
    });
    if agrees || labels.is_empty() {
        Ok(())
    } else {
        Err(mismatch("label2id", "the inverse of id2label", value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, ConfigError> {
        Config::from_json(&serde_json::from_str(json).unwrap())
    }

    fn field_at_fault(json: &str) -> &'static str {
        match parse(json) {
            Err(ConfigError::Field { field, .. }) => field,
            other => panic!("expected a field at fault, got {other:?}"),
        }
    }

    #[test]
    fn empty_config_has_hugging_face_defaults() {
        let config = parse("{}").unwrap();
        assert_eq!((config.dim, config.hidden_dim), (768, 3072));
        assert_eq!((config.n_layers, config.n_heads), (6, 12));
        assert_eq!(config.head_size(), 64);
        assert!(config.id2label.is_empty());
        assert_eq!(config.problem_type_for(1), ProblemType::Regression);
        assert_eq!(config.problem_type_for(2), ProblemType::SingleLabelClassification);
    }

    #[test]
    fn labels_are_in_the_order_of_their_ids() {
        let ids: Vec<String> = (0..12).rev().map(|id| format!("\"{id}\": \"l{id}\"")).collect();
        let config = parse(&format!("{{\"id2label\": {{{}}}}}", ids.join(","))).unwrap();
        assert_eq!(config.id2label[2], "l2");
        assert_eq!(config.id2label[10], "l10");
    }

    #[test]
    fn num_labels_alone_gives_generic_labels() {
        assert_eq!(parse(r#"{"num_labels": 2}"#).unwrap().id2label, ["LABEL_0", "LABEL_1"]);
    }

    #[test]
    fn errors_name_the_field() {
        for (json, field) in [
            (r#"{"n_layers": 0}"#, "n_layers"),
            (r#"{"dim": 100, "n_heads": 12}"#, "n_heads"),
            (r#"{"dim": -3}"#, "dim"),
            (r#"{"dim": 99999999999999}"#, "dim"),
            (r#"{"dim": "wide"}"#, "dim"),
            (r#"{"activation": "swish"}"#, "activation"),
            (r#"{"model_type": "bert"}"#, "model_type"),
            (r#"{"problem_type": "ranking"}"#, "problem_type"),
            (r#"{"sinusoidal_pos_embds": 1}"#, "sinusoidal_pos_embds"),
            (r#"{"pad_token_id": -1}"#, "pad_token_id"),
            (r#"{"id2label": {"0": "a", "2": "b"}}"#, "id2label"),
            (r#"{"id2label": {}}"#, "id2label"),
            (r#"{"id2label": {"0": "a"}, "num_labels": 2}"#, "num_labels"),
            (r#"{"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1}}"#, "label2id"),
        ] {
            assert_eq!(field_at_fault(json), field, "{json}");
        }
    }
}
