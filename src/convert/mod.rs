//! Conversion of a model folder to Hugging Face's layout and another weight type.

mod floats;
mod folder;
mod int8;
mod pad;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

pub(crate) use self::floats::float_tensors;
pub(crate) use self::folder::Folder;
#[cfg(feature = "prune")]
pub(crate) use self::folder::{Content, Tensor};
use self::int8::int8_tensors;
pub use self::pad::pad;
use crate::error::{CheckpointError, Error, PrecisionError, Result};
use crate::model::checkpoint::{Checkpoint, Dtype};
use crate::model::config::Config;
use crate::model::files::{CONFIG, ModelFiles, read_json_object};
use crate::model::matrix::Matrix;
use crate::model::weights::{Model, WeightStore};
use crate::precision::Precision;

/// Writes a model folder in Hugging Face's layout: `config.json`, `model.safetensors` and the tokenizer's
/// files. `from` may be any folder that a [`Classifier`](crate::Classifier) can load, so this also converts
/// TensorFlow's `tf_model.h5` (feature `tensorflow`) and merges shards.
///
/// `dtype` is the type of the written weights: F32, F16, Bf16, or Int8 in the layout of [`quantize`]. Without it, or with
/// [`Precision::Auto`], each tensor keeps its type. All but Int8 folders load in Transformers: tensors are named as in
/// `DistilBertForSequenceClassification`, and `config.json` names that class and the type.
///
/// Files have the suffix `.partial` until they are complete. Existing files are never overwritten, except those with
/// these temporary names, which are replaced.
///
/// ```no_run
/// use distilbert::{Precision, convert};
///
/// convert("path/to/tensorflow", "path/to/safetensors", None)?;
/// convert("path/to/tensorflow", "path/to/halves", Precision::F16)?;
/// # Ok::<(), distilbert::Error>(())
/// ```
///
/// # Errors
/// The errors of [`ClassifierBuilder::build`](crate::ClassifierBuilder::build) if `from` cannot be loaded;
/// [`CheckpointError::OutOfRange`] if a weight is too large for F16 or Bf16; [`CheckpointError::Exists`] if `to` already has
/// one of the files; [`PrecisionError::NotStored`] for a cascade; [`Error::Io`] if a file cannot be written.
pub fn convert(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    dtype: impl Into<Option<Precision>>,
) -> Result<()> {
    let (from, to, dtype) = (from.as_ref(), to.as_ref(), dtype.into());
    let dtype = dtype.filter(|&dtype| dtype != Precision::Auto);
    if !from.is_dir() {
        return Err(CheckpointError::NoModel { path: from.to_owned() }.into());
    }
    if let Some(requested @ Precision::Cascade { .. }) = dtype {
        return Err(PrecisionError::NotStored { requested }.into());
    }
    let checkpoint = Checkpoint::open(&ModelFiles::Folder(from.to_owned()))?;
    let config = from.join(CONFIG);
    let model = Model::load(Config::from_file(&config)?, &checkpoint, &Validation)?;
    let stored = checkpoint.is_int8().then_some(Precision::Int8);

    let tensors = match dtype.or(stored) {
        Some(Precision::Int8) => int8_tensors(&checkpoint),
        floats => float_tensors(&checkpoint, floats),
    };
    checkpoint.check_unchanged()?;
    let tensors = tensors?;
    let folder = match dtype.or(stored) {
        Some(Precision::Int8) => Folder {
            config: fs::read(&config).map_err(Error::reading(&config))?,
            tensors,
            metadata: ("quantization", "int8"),
        },
        floats => {
            let json = read_json_object(&config)?;
            let config = classifier_config(json, &model.config, &checkpoint, floats);
            Folder { config, tensors, metadata: ("format", "pt") }
        }
    };
    folder.write(&checkpoint, from, to)
}

/// Writes a model folder whose weights and embeddings are stored in 8 bits, about a quarter of the
/// size of an F32 checkpoint. It loads without the original, by default as
/// [`Precision::Int8`], and its logits are bit-identical to those of the original loaded as `Int8`.
///
/// # Layout
/// `model.safetensors` has the original's tensors under the same names. A matrix or table
/// `<name>.weight` of shape `[rows, columns]` has type `I8`, and `<name>.weight_scale` has its scales,
/// type `F32` and shape `[rows]`: the value at row `r` and column `c` is
/// `weight[r, c] · weight_scale[r]`. Values range from −63 to 63 in linear layers and from −127 to 127 in embeddings.
/// Biases and layer norms stay `F32`. The metadata has `"quantization": "int8"`. `config.json` and the
/// tokenizer's files are copied.
///
/// ```no_run
/// distilbert::quantize("models/emotion", "models/emotion-int8")?;
/// # Ok::<(), distilbert::Error>(())
/// ```
///
/// # Errors
/// Fails like [`convert`].
pub fn quantize(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    convert(from, to, Precision::Int8)
}

/// Weight store that discards the weights: loading into it validates a checkpoint.
struct Validation;

impl WeightStore for Validation {
    type Matrix = ();
    type Table = ();

    fn matrix(&self, matrix: Matrix<'_>) -> Result<()> {
        let mut row = vec![0.0; matrix.inputs];
        let mut reader = matrix.reader(0..matrix.outputs);
        (0..matrix.outputs).try_for_each(|index| reader.read_row(index, &mut row))
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<()> {
        self.matrix(matrix)
    }
}

/// Returns `config.json` with the fields that Transformers needs to load the weights.
pub(crate) fn classifier_config(
    mut json: Map<String, Value>,
    config: &Config,
    checkpoint: &Checkpoint,
    dtype: Option<Precision>,
) -> Vec<u8> {
    let dtype = match (dtype, checkpoint.embeddings_dtype()) {
        (Some(Precision::F16), _) | (None, Some(Dtype::F16)) => "float16",
        (Some(Precision::Bf16), _) | (None, Some(Dtype::Bf16)) => "bfloat16",
        _ => "float32",
    };
    json.insert("architectures".to_owned(), json!(["DistilBertForSequenceClassification"]));
    json.insert("model_type".to_owned(), json!("distilbert"));
    // Transformers 4.56 renamed `torch_dtype` to `dtype`.
    json.insert("dtype".to_owned(), json!(dtype));
    json.insert("torch_dtype".to_owned(), json!(dtype));
    // Without labels, Transformers assumes that the head has two.
    if !["id2label", "num_labels"]
        .iter()
        .any(|field| json.get(*field).is_some_and(|value| !value.is_null()))
    {
        let labels = config.id2label.iter().enumerate();
        let id2label: Map<_, _> =
            labels.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
        let label2id: Map<_, _> = labels.map(|(id, label)| (label.clone(), json!(id))).collect();
        json.insert("id2label".to_owned(), Value::Object(id2label));
        json.insert("label2id".to_owned(), Value::Object(label2id));
    }
    format!("{:#}\n", Value::Object(json)).into_bytes()
}
