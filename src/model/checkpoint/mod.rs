//! Weight files → named tensors.
//!
//! A checkpoint is a Hugging Face folder: `model.safetensors`, or its shards with
//! `model.safetensors.index.json`, or `tf_model.h5` of TensorFlow. Tensors stay in the memory-mapped
//! files until they are asked for by PyTorch's name, and every one is checked for its shape, its type
//! and its values on the way out.

#[cfg(feature = "tensorflow")]
mod hdf5;
mod safetensors;
mod weight_file;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

pub(crate) use self::weight_file::ValueKind;
use self::weight_file::{StoredTensor, WeightFile};
use crate::error::{Error, Result};
use crate::model::config::read_json_object;
use crate::model::matrix::{BadWeight, Matrix, Values};

pub(crate) const WEIGHTS: &str = "model.safetensors";
const SHARD_INDEX: &str = "model.safetensors.index.json";
const TENSORFLOW_WEIGHTS: &str = "tf_model.h5";
/// What PyTorch pickles, whole or in shards.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The scales of a matrix in 8 bits are a tensor of its name with this suffix.
pub(crate) const SCALE_SUFFIX: &str = "_scale";

/// The encoder's tensors bear this prefix in a classification checkpoint, and none in a bare
/// `DistilBertModel`.
pub(crate) const ENCODER_PREFIX: &str = "distilbert.";

/// The named tensors of a model folder.
pub struct Checkpoint {
    files: Vec<WeightFile>,
    /// Tensor name → which of `files` holds it.
    tensors: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens `model.safetensors`; without it the shards that `model.safetensors.index.json` lists;
    /// without them `tf_model.h5`, as Transformers writes it with TensorFlow.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, [`Error::Checkpoint`] if it is damaged;
    /// [`Error::TensorflowNotBuilt`] or [`Error::Pickle`] if there are weights in no form that is read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let there = |name: &str| folder.join(name).exists();
        let files = if there(WEIGHTS) {
            vec![WeightFile::safetensors(&folder.join(WEIGHTS))?]
        } else if there(SHARD_INDEX) {
            let names = shards(&folder.join(SHARD_INDEX))?;
            let open = |name: &String| WeightFile::safetensors(&folder.join(name));
            names.iter().map(open).collect::<Result<_>>()?
        } else if there(TENSORFLOW_WEIGHTS) {
            vec![tensorflow_file(folder.join(TENSORFLOW_WEIGHTS))?]
        } else if let Some(pickle) = PICKLES.into_iter().find(|name| there(name)) {
            return Err(Error::Pickle { path: folder.join(pickle) });
        } else {
            vec![WeightFile::safetensors(&folder.join(WEIGHTS))?]
        };
        let tensors = files
            .iter()
            .enumerate()
            .flat_map(|(file, content)| content.names().map(move |name| (name.to_owned(), file)))
            .collect();
        Ok(Self { files, tensors })
    }

    /// A tensor of the encoder, such as `embeddings.word_embeddings.weight`, with or without the
    /// prefix `distilbert.`, as row-major `f32`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::TensorShape`], [`Error::TensorDtype`] or
    /// [`Error::NotFinite`], each with the tensor's name.
    pub fn encoder_tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.tensor(&self.encoder_name(name), shape)
    }

    /// A matrix of the encoder, as [`matrix`](Self::matrix) gives it, with or without the prefix.
    pub(crate) fn encoder_matrix(&self, name: &str, rows: usize, len: usize) -> Result<Values<'_>> {
        self.matrix(&self.encoder_name(name), rows, len)
    }

    /// The name under which the checkpoint has a tensor of the encoder.
    fn encoder_name(&self, name: &str) -> String {
        let prefixed = format!("{ENCODER_PREFIX}{name}");
        if self.tensors.contains_key(&prefixed) || !self.tensors.contains_key(name) {
            prefixed
        } else {
            name.to_owned()
        }
    }

    /// Whether the encoder has a tensor of this name, with or without the prefix.
    pub fn has_encoder_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
            || self.tensors.contains_key(&format!("{ENCODER_PREFIX}{name}"))
    }

    /// A tensor by its full name, as row-major `f32`.
    ///
    /// # Errors
    /// As for [`encoder_tensor`](Self::encoder_tensor).
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let len = shape.iter().product();
        let row = Matrix { outputs: 1, inputs: len, parts: vec![self.floats(name, shape)?] };
        let mut values = vec![0.0; len];
        row.read_row(0, &mut values).map_err(|BadWeight { index, found }| Error::NotFinite {
            name: name.to_owned(),
            index,
            found,
        })?;
        Ok(values)
    }

    /// A matrix by its full name, as it is stored: `I8` with its rows' scales in the tensor
    /// `<name>_scale`, or of floats.
    ///
    /// # Errors
    /// As for [`encoder_tensor`](Self::encoder_tensor), but values are not looked at.
    pub(crate) fn matrix(&self, name: &str, rows: usize, len: usize) -> Result<Values<'_>> {
        let (stored, bytes) = self.file(name, &[rows, len])?.tensor(name, &[rows, len])?;
        if stored.kind != ValueKind::Int8 {
            return self.floats(name, &[rows, len]);
        }
        let scales = self.tensor(&format!("{name}{SCALE_SUFFIX}"), &[rows])?;
        Ok(Values::Int8 { bytes, scales })
    }

    /// A tensor of floats by its full name, as it is stored; values are not looked at.
    ///
    /// # Errors
    /// As for [`matrix`](Self::matrix).
    pub(crate) fn floats(&self, name: &str, shape: &[usize]) -> Result<Values<'_>> {
        let (stored, bytes) = self.file(name, shape)?.tensor(name, shape)?;
        let values = match &stored.kind {
            ValueKind::F32 => Values::F32(bytes),
            ValueKind::F16 => Values::F16(bytes),
            ValueKind::Bf16 => Values::Bf16(bytes),
            other => {
                return Err(Error::TensorDtype { name: name.to_owned(), found: other.to_string() });
            }
        };
        match *shape {
            [rows, len] if stored.transposed => Ok(values.transposed(rows, len)),
            _ => Ok(values),
        }
    }

    /// Lets the system take back the memory of what has been read so far: a loaded model has it in a form
    /// of its own, and both together would be two copies.
    pub(crate) fn release(&self) {
        self.files.iter().for_each(WeightFile::release);
    }

    /// The file that holds a tensor.
    fn file(&self, name: &str, shape: &[usize]) -> Result<&WeightFile> {
        match self.tensors.get(name) {
            Some(&file) => Ok(&self.files[file]),
            None => Err(Error::MissingTensor { name: name.to_owned(), expected: shape.to_owned() }),
        }
    }

    /// The shape of a tensor by its full name, if there is such a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.stored(name)?.shape.as_slice())
    }

    /// The type of a tensor's values by its full name, if there is such a tensor.
    pub(crate) fn kind(&self, name: &str) -> Option<&ValueKind> {
        Some(&self.stored(name)?.kind)
    }

    fn stored(&self, name: &str) -> Option<&StoredTensor> {
        let &file = self.tensors.get(name)?;
        self.files[file].stored(name)
    }

    /// The full names of all weights and biases, sorted: not of scales, nor of buffers.
    pub(crate) fn weights_and_biases(&self) -> impl Iterator<Item = &str> {
        let names = self.tensors.keys().map(String::as_str);
        names.filter(|name| name.ends_with(".weight") || name.ends_with(".bias"))
    }

    /// The type of the word embeddings, by far the largest tensor.
    pub(crate) fn embeddings_kind(&self) -> Option<&ValueKind> {
        self.kind(&self.encoder_name("embeddings.word_embeddings.weight"))
    }

    /// Whether the word embeddings are stored in 8 bits.
    pub(crate) fn is_int8(&self) -> bool {
        self.embeddings_kind() == Some(&ValueKind::Int8)
    }

    /// The types in which the weights are stored, such as `["F16"]`, sorted.
    pub fn dtypes(&self) -> Vec<String> {
        let mut dtypes: Vec<String> = self.files.iter().flat_map(WeightFile::kinds).collect();
        dtypes.sort();
        dtypes.dedup();
        dtypes
    }

    /// Number of weights in all tensors; the scales of those in 8 bits do not count.
    pub fn parameters(&self) -> usize {
        self.files.iter().map(WeightFile::parameters).sum()
    }

    /// Size of the weight files in bytes.
    pub fn bytes(&self) -> usize {
        self.files.iter().map(WeightFile::bytes).sum()
    }
}

#[cfg(feature = "tensorflow")]
fn tensorflow_file(path: PathBuf) -> Result<WeightFile> {
    WeightFile::hdf5(&path)
}

#[cfg(not(feature = "tensorflow"))]
fn tensorflow_file(path: PathBuf) -> Result<WeightFile> {
    Err(Error::TensorflowNotBuilt { path })
}

/// The file names that a shard index mentions, each once.
fn shards(index: &Path) -> Result<Vec<String>> {
    let invalid = |reason: String| Error::Json { path: index.to_owned(), reason };
    let json = read_json_object(index)?;
    let map = json
        .get("weight_map")
        .and_then(|map| map.as_object())
        .ok_or_else(|| invalid("`weight_map` should be an object".to_owned()))?;
    let mut names = Vec::new();
    for (tensor, file) in map {
        // A shard lies beside its index: a name that leads elsewhere is not one.
        let name = file
            .as_str()
            .filter(|name| {
                Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
            })
            .ok_or_else(|| {
                invalid(format!("`weight_map` gives no file in this folder for `{tensor}`"))
            })?;
        names.push(name.to_owned());
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(invalid("`weight_map` lists no tensors".to_owned()));
    }
    Ok(names)
}
