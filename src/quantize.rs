//! A model folder → one whose weights are stored in 8 bits.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::{Dtype, View};

use crate::checkpoint::{Checkpoint, SCALE_SUFFIX, WEIGHTS};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::int8::{Int8Rows, LARGEST_EMBEDDING, LARGEST_WEIGHT};
use crate::model::{Hold, Matrix, Model, OutOfRange, Values};

/// What a folder has besides its weights, as far as it is there.
const COMPANIONS: [&str; 5] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
];

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
/// As for [`ClassifierBuilder::build`](crate::ClassifierBuilder::build) if `from` cannot be loaded;
/// [`Error::Exists`] if `to` holds weights already; [`Error::Write`] if it cannot be written.
pub fn quantize(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    if !from.is_dir() {
        return Err(Error::NoModel { path: from.to_owned() });
    }
    let checkpoint = Checkpoint::open(from)?;
    Model::load(Config::from_file(from.join("config.json"))?, &checkpoint, &Checking)?;

    let weights = to.join(WEIGHTS);
    if weights.exists() {
        return Err(Error::Exists { path: weights });
    }
    let tensors = int8_tensors(&checkpoint)?;
    let write_error = |path: &Path| {
        let path = path.to_owned();
        |source| Error::Write { path, source }
    };
    fs::create_dir_all(to).map_err(write_error(to))?;
    for name in COMPANIONS {
        let (source, copy) = (from.join(name), to.join(name));
        if source.exists() {
            fs::copy(source, &copy).map_err(write_error(&copy))?;
        }
    }
    let metadata = HashMap::from([("quantization".to_owned(), "int8".to_owned())]);
    // Under its own name only once it is whole.
    let partial = to.join(format!("{WEIGHTS}.partial"));
    safetensors::serialize_to_file(tensors, Some(metadata), &partial)
        .map_err(std::io::Error::other)
        .and_then(|()| fs::rename(&partial, &weights))
        .map_err(write_error(&weights))
}

/// Holds nothing: loading is the check.
struct Checking;

impl Hold for Checking {
    type Matrix = ();
    type Table = ();

    fn matrix(&self, _: Matrix) -> Result<(), OutOfRange> {
        Ok(())
    }

    fn table(&self, _: Matrix) {}
}

/// The weights and biases of a checkpoint, matrices and tables as integers and scales.
fn int8_tensors(checkpoint: &Checkpoint) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    let names =
        checkpoint.names().filter(|name| name.ends_with(".weight") || name.ends_with(".bias"));
    for name in names {
        let shape = checkpoint.shape(name).unwrap_or_default().to_vec();
        let [rows, columns] = *shape else {
            tensors.insert(
                name.to_owned(),
                Tensor::floats(shape.clone(), &checkpoint.tensor(name, &shape)?),
            );
            continue;
        };
        let largest = if name.contains("embeddings.") { LARGEST_EMBEDDING } else { LARGEST_WEIGHT };
        let int8 = match checkpoint.matrix(name, rows, columns)? {
            Values::Floats(values) => Int8Rows::quantise(&values, columns, largest),
            Values::Int8(int8) => int8,
        };
        tensors.insert(format!("{name}{SCALE_SUFFIX}"), Tensor::floats(vec![rows], &int8.scales));
        tensors.insert(name.to_owned(), Tensor::integers(shape, &int8.values));
    }
    Ok(tensors)
}

/// A tensor as it is written.
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn floats(shape: Vec<usize>, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape, bytes }
    }

    fn integers(shape: Vec<usize>, values: &[i8]) -> Self {
        let bytes = values.iter().map(|&value| value as u8).collect();
        Self { dtype: Dtype::I8, shape, bytes }
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
