//! A model folder → one whose weights are stored in 8 bits.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::{Dtype, View};

use crate::checkpoint::{Checkpoint, SCALE_SUFFIX, WEIGHTS};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::int8::{LARGEST_EMBEDDING, LARGEST_WEIGHT, quantise_row};
use crate::matrix::{BadWeight, Matrix};
use crate::model::{Hold, Model};

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

    fn matrix(&self, matrix: Matrix<'_>) -> Result<(), BadWeight> {
        let mut row = vec![0.0; matrix.inputs];
        (0..matrix.outputs).try_for_each(|index| matrix.read_row(index, &mut row))
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<(), BadWeight> {
        self.matrix(matrix)
    }
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
        let matrix = Matrix {
            outputs: rows,
            inputs: columns,
            parts: vec![checkpoint.matrix(name, rows, columns)?],
        };
        let (bytes, scales) = int8_rows(&matrix, largest);
        tensors.insert(format!("{name}{SCALE_SUFFIX}"), Tensor::floats(vec![rows], &scales));
        tensors.insert(name.to_owned(), Tensor { dtype: Dtype::I8, shape, bytes });
    }
    Ok(tensors)
}

/// A checked matrix in 8 bits, and its rows' scales.
fn int8_rows(matrix: &Matrix<'_>, largest: i8) -> (Vec<u8>, Vec<f32>) {
    let (mut floats, mut integers) = (vec![0.0; matrix.inputs], vec![0; matrix.inputs]);
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for row in 0..matrix.outputs {
        if let Some((row, scale)) = matrix.int8_row(row) {
            bytes.extend(row);
            scales.push(scale);
        } else if matrix.read_row(row, &mut floats).is_ok() {
            scales.push(quantise_row(&floats, largest, &mut integers));
            bytes.extend(integers.iter().map(|&value| value as u8));
        }
    }
    (bytes, scales)
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
