//! A model folder → one in Hugging Face's layout, with its weights in the type asked for.

mod floats;
mod folder;
mod int8;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use self::floats::float_tensors;
use self::folder::{CONFIG, Folder};
use self::int8::int8_tensors;
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, ValueKind};
use crate::model::config::{Config, read_json_object};
use crate::model::matrix::{BadWeight, Matrix};
use crate::model::weights::{Hold, Model};
use crate::precision::Precision;

/// Writes a model folder in Hugging Face's layout: `config.json`, `model.safetensors` and the tokenizer's
/// files. `from` may be any folder that loads, so that this makes safetensors of TensorFlow's
/// `tf_model.h5` (feature `tensorflow`) and one file of shards.
///
/// The weights become F32, F16 or what [`quantize`] writes; without a `dtype` each tensor keeps its type.
/// F32 and F16 load in Transformers: tensors have the names that they have in
/// `DistilBertForSequenceClassification`, and `config.json` names that class and the type.
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
/// As for [`ClassifierBuilder::build`](crate::ClassifierBuilder::build) if `from` cannot be loaded;
/// [`Error::OutOfRange`] if a weight is too large for F16; [`Error::Exists`] if `to` has a file that would
/// be written; [`Error::Write`] if it cannot be written.
pub fn convert(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    dtype: impl Into<Option<Precision>>,
) -> Result<()> {
    let (from, to, dtype) = (from.as_ref(), to.as_ref(), dtype.into());
    if !from.is_dir() {
        return Err(Error::NoModel { path: from.to_owned() });
    }
    let checkpoint = Checkpoint::open(from)?;
    let config = from.join(CONFIG);
    let model = Model::load(Config::from_file(&config)?, &checkpoint, &Checking)?;
    let stored = checkpoint.is_int8().then_some(Precision::Int8);

    let folder = match dtype.or(stored) {
        Some(Precision::Int8) => Folder {
            config: fs::read(&config).map_err(|source| Error::Io { path: config, source })?,
            tensors: int8_tensors(&checkpoint)?,
            metadata: ("quantization", "int8"),
        },
        floats => Folder {
            config: classifier_config(
                read_json_object(&config)?,
                &model.config,
                &checkpoint,
                floats,
            ),
            tensors: float_tensors(&checkpoint, floats)?,
            metadata: ("format", "pt"),
        },
    };
    folder.write(from, to)
}

/// Writes a model folder whose weights and embeddings are stored in 8 bits: about a quarter of the
/// size of an F32 checkpoint. It loads without the original, as
/// [`Precision::Int8`](crate::Precision::Int8) unless asked otherwise, and gives the logits that the
/// original gives as `Int8`, bit for bit.
///
/// # Layout
/// `model.safetensors` has the original's tensors by the same names. A matrix or table
/// `<name>.weight` of shape `[rows, columns]` is of type `I8`, and beside it is `<name>.weight_scale`,
/// `F32` of shape `[rows]`: the value at row `r` and column `c` is
/// `weight[r, c] · weight_scale[r]`. Matrices of linear layers use −63 to 63, embeddings −127 to 127.
/// Biases and layer norms stay `F32`. The metadata has `"quantization": "int8"`. `config.json` and the
/// tokenizer's files are copied.
///
/// ```no_run
/// distilbert::quantize("models/emotion", "models/emotion-int8")?;
/// # Ok::<(), distilbert::Error>(())
/// ```
///
/// # Errors
/// As for [`convert`].
pub fn quantize(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    convert(from, to, Precision::Int8)
}

/// Holds nothing: loading is the check.
struct Checking;

impl Hold for Checking {
    type Matrix = ();
    type Table = ();

    fn matrix(&self, matrix: Matrix<'_>) -> Result<(), BadWeight> {
        let mut row = vec![0.0; matrix.inputs];
        (0..matrix.outputs).try_for_each(|index| matrix.read_row(index, &mut row))
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<(), BadWeight> {
        self.matrix(matrix)
    }
}

/// The configuration with what Transformers needs to load the weights by it.
fn classifier_config(
    mut json: Map<String, Value>,
    config: &Config,
    checkpoint: &Checkpoint,
    dtype: Option<Precision>,
) -> Vec<u8> {
    let dtype = match (dtype, checkpoint.embeddings_kind()) {
        (Some(Precision::F16), _) | (None, Some(ValueKind::F16)) => "float16",
        (None, Some(ValueKind::Bf16)) => "bfloat16",
        _ => "float32",
    };
    json.insert("architectures".to_owned(), json!(["DistilBertForSequenceClassification"]));
    json.insert("model_type".to_owned(), json!("distilbert"));
    // Its name since Transformers 4.56, and before.
    json.insert("dtype".to_owned(), json!(dtype));
    json.insert("torch_dtype".to_owned(), json!(dtype));
    // Without labels, Transformers takes the head to have two.
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
