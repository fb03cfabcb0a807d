//! Weight files and their named tensors.
//!
//! A checkpoint is a Hugging Face folder with `model.safetensors`, with the shards that
//! `model.safetensors.index.json` lists, with PyTorch's `pytorch_model.bin` or its shards, or with TensorFlow's
//! `tf_model.h5`; or the same files in memory. A tensor is read when it is requested by its PyTorch name, and its shape,
//! type and values are checked then. Files are read with positioned reads ([`Source`](source::Source)), so that a file
//! that changes during loading causes an error and not a fault.

#[cfg(feature = "tensorflow")]
mod hdf5;
mod names;
mod pickle;
mod safetensors;
mod source;
mod strided;
mod weight_file;

use std::collections::BTreeMap;
use std::path::{Component, Path};

pub(crate) use self::source::{Region, Source};
use self::strided::gather;
pub(crate) use self::weight_file::Dtype;
use self::weight_file::{Layout, StoredTensor, WeightFile};
use crate::error::{CheckpointError, ConfigError, Result};
use crate::model::files::ModelFiles;
use crate::model::matrix::{Data, Matrix, Values};

pub(crate) const WEIGHTS: &str = "model.safetensors";
const SHARD_INDEX: &str = "model.safetensors.index.json";
const PICKLE: &str = "pytorch_model.bin";
const PICKLE_INDEX: &str = "pytorch_model.bin.index.json";
/// Configuration of a PEFT adapter.
pub(crate) const ADAPTER: &str = "adapter_config.json";
const TENSORFLOW_WEIGHTS: &str = "tf_model.h5";

/// Weights, or the index of their shards, in the order in which [`Checkpoint::open`] prefers them.
#[cfg(feature = "hub")]
pub(crate) const WEIGHT_FILES: [&str; 5] =
    [WEIGHTS, SHARD_INDEX, PICKLE, PICKLE_INDEX, TENSORFLOW_WEIGHTS];

/// Suffix that turns the name of an 8-bit matrix into the name of its scales.
pub(crate) const SCALE_SUFFIX: &str = "_scale";

/// Prefix of the encoder's tensors in a classification checkpoint; a bare `DistilBertModel` has none.
pub(crate) const ENCODER_PREFIX: &str = "distilbert.";

/// Named tensors of a model.
pub struct Checkpoint {
    files: Vec<WeightFile>,
    /// Index in `files` of each tensor's file.
    tensors: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or else the shards that `model.safetensors.index.json` lists, or else
    /// `pytorch_model.bin` or its shards, as Transformers does, or else TensorFlow's `tf_model.h5`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if a file cannot be read, [`CheckpointError::Damaged`] if it is damaged,
    /// [`CheckpointError::Pickle`] if it is a pickle of something other than tensors, [`ConfigError::Json`] if it is an
    /// invalid shard index; [`CheckpointError::TensorflowNotBuilt`]; [`CheckpointError::Adapter`] if there are no
    /// weights but those of an adapter.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self> {
        let open = match () {
            () if files.exists(WEIGHTS) => vec![WeightFile::safetensors(files, WEIGHTS)?],
            () if files.exists(SHARD_INDEX) => shards(files, SHARD_INDEX, WeightFile::safetensors)?,
            () if files.exists(PICKLE) => vec![WeightFile::pickle(files, PICKLE)?],
            () if files.exists(PICKLE_INDEX) => shards(files, PICKLE_INDEX, WeightFile::pickle)?,
            () if files.exists(TENSORFLOW_WEIGHTS) => vec![tensorflow_file(files)?],
            () if files.exists(ADAPTER) => return Err(adapter(files).into()),
            // For the error that names the usual file.
            () => vec![WeightFile::safetensors(files, WEIGHTS)?],
        };
        Ok(Self::of(open))
    }

    fn of(files: Vec<WeightFile>) -> Self {
        let tensors = files
            .iter()
            .enumerate()
            .flat_map(|(file, content)| content.names().map(move |name| (name.to_owned(), file)))
            .collect();
        Self { files, tensors }
    }

    /// Checks that the files have not changed since they were opened.
    ///
    /// # Errors
    /// [`CheckpointError::FileChanged`], or [`Error::Io`](crate::Error::Io).
    pub fn check_unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(WeightFile::check_unchanged)
    }

    /// Reads a tensor of the encoder, such as `embeddings.word_embeddings.weight`, as row-major `f32`. The
    /// checkpoint's name for it may have the prefix `distilbert.`.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`], [`CheckpointError::TensorShape`], [`CheckpointError::TensorDtype`] or
    /// [`CheckpointError::NotFinite`], each with the tensor's name; [`Error::Io`](crate::Error::Io) or
    /// [`CheckpointError::FileChanged`] with the file's.
    pub fn encoder_tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.tensor(&self.encoder_name(name), shape)
    }

    /// Locates a matrix of the encoder like [`matrix`](Self::matrix), with or without the prefix.
    pub(crate) fn encoder_matrix(&self, name: &str, rows: usize, len: usize) -> Result<Values<'_>> {
        self.matrix(&self.encoder_name(name), rows, len)
    }

    /// Returns the checkpoint's name for a tensor of the encoder.
    fn encoder_name(&self, name: &str) -> String {
        let prefixed = format!("{ENCODER_PREFIX}{name}");
        if self.tensors.contains_key(&prefixed) || !self.tensors.contains_key(name) {
            prefixed
        } else {
            name.to_owned()
        }
    }

    /// Returns `true` if the encoder has a tensor of this name, with or without the prefix.
    pub fn has_encoder_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
            || self.tensors.contains_key(&format!("{ENCODER_PREFIX}{name}"))
    }

    /// Returns `true` if the full name of any tensor starts with `prefix`.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        let mut from = self.tensors.range(prefix.to_owned()..);
        from.next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Reads a tensor by its full name as row-major `f32`.
    ///
    /// # Errors
    /// Fails like [`encoder_tensor`](Self::encoder_tensor).
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.floats(name, shape)?;
        // The product cannot overflow: the shape matches the stored one, whose size in bytes fits in the file.
        let len = shape.iter().product();
        let mut floats = vec![0.0; len];
        Matrix::stack(1, len, vec![values]).read_rows(0..1, &mut floats)?;
        Ok(floats)
    }

    /// Locates a matrix by its full name: floats, or `I8` with the rows' scales in the tensor `<name>_scale`.
    ///
    /// # Errors
    /// Fails like [`encoder_tensor`](Self::encoder_tensor), except that values are not checked.
    pub(crate) fn matrix(&self, name: &str, rows: usize, len: usize) -> Result<Values<'_>> {
        let (stored, region) = self.file(name, &[rows, len])?.tensor(name, &[rows, len])?;
        if stored.dtype != Dtype::Int8 {
            return self.floats(name, &[rows, len]);
        }
        let scales = self.tensor(&format!("{name}{SCALE_SUFFIX}"), &[rows])?;
        Ok(Values { name: name.to_owned(), data: Data::Int8 { region, scales } })
    }

    /// Locates a tensor of floats by its full name.
    ///
    /// # Errors
    /// Fails like [`matrix`](Self::matrix).
    pub(crate) fn floats(&self, name: &str, shape: &[usize]) -> Result<Values<'_>> {
        let (stored, region) = self.file(name, shape)?.tensor(name, shape)?;
        let data = match &stored.dtype {
            Dtype::F32 => Data::F32(region),
            Dtype::F16 => Data::F16(region),
            Dtype::Bf16 => Data::Bf16(region),
            other => {
                return Err(CheckpointError::TensorDtype {
                    name: name.to_owned(),
                    found: other.to_string(),
                }
                .into());
            }
        };
        let values = Values { name: name.to_owned(), data };
        match (stored.layout, shape) {
            (Layout::Transposed, &[rows, len]) => values.transposed(rows, len),
            (Layout::Strided(strides), &[rows, len]) => gather(values, [rows, len], strides),
            (Layout::Strided(strides), &[len]) => gather(values, [1, len], strides),
            _ => Ok(values),
        }
    }

    /// Returns the file that stores a tensor.
    fn file(&self, name: &str, shape: &[usize]) -> Result<&WeightFile> {
        match self.tensors.get(name) {
            Some(&file) => Ok(&self.files[file]),
            None => Err(CheckpointError::MissingTensor {
                name: name.to_owned(),
                expected: shape.to_owned(),
            }
            .into()),
        }
    }

    /// Returns the shape of a tensor by its full name, if there is such a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.stored(name)?.shape.as_slice())
    }

    /// Returns the type of a tensor's values by its full name, if there is such a tensor.
    pub(crate) fn dtype(&self, name: &str) -> Option<&Dtype> {
        Some(&self.stored(name)?.dtype)
    }

    fn stored(&self, name: &str) -> Option<&StoredTensor> {
        let &file = self.tensors.get(name)?;
        self.files[file].stored(name)
    }

    /// Returns the full names of all weights and biases, sorted, without scales and buffers.
    pub(crate) fn weights_and_biases(&self) -> impl Iterator<Item = &str> {
        let names = self.tensors.keys().map(String::as_str);
        names.filter(|name| names::is_parameter(name))
    }

    /// Returns the type of the word embeddings, by far the largest tensor.
    pub(crate) fn embeddings_dtype(&self) -> Option<&Dtype> {
        self.dtype(&self.encoder_name("embeddings.word_embeddings.weight"))
    }

    /// Returns `true` if the word embeddings are stored in 8 bits.
    pub(crate) fn is_int8(&self) -> bool {
        self.embeddings_dtype() == Some(&Dtype::Int8)
    }

    /// Returns the types in which the weights are stored, such as `["F16"]`, sorted.
    pub fn dtypes(&self) -> Vec<String> {
        let mut dtypes: Vec<String> = self.files.iter().flat_map(WeightFile::dtypes).collect();
        dtypes.sort();
        dtypes.dedup();
        dtypes
    }

    /// Returns the number of weights in all tensors; buffers and scales of 8-bit matrices don't count.
    pub fn parameters(&self) -> usize {
        self.files.iter().map(WeightFile::parameters).fold(0, usize::saturating_add)
    }

    /// Returns the size of the weight files in bytes.
    pub fn bytes(&self) -> usize {
        let bytes = self.files.iter().map(WeightFile::bytes).fold(0, u64::saturating_add);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

#[cfg(feature = "tensorflow")]
fn tensorflow_file(files: &ModelFiles) -> Result<WeightFile> {
    WeightFile::hdf5(files, TENSORFLOW_WEIGHTS)
}

#[cfg(not(feature = "tensorflow"))]
fn tensorflow_file(files: &ModelFiles) -> Result<WeightFile> {
    Err(CheckpointError::TensorflowNotBuilt { path: files.path(TENSORFLOW_WEIGHTS) }.into())
}

/// Opens the shards that an index lists.
fn shards(
    files: &ModelFiles,
    index: &str,
    open: impl Fn(&ModelFiles, &str) -> Result<WeightFile>,
) -> Result<Vec<WeightFile>> {
    shard_names(files, index)?.iter().map(|name| open(files, name)).collect()
}

/// Returns the error for a folder that holds an adapter in place of a model.
pub(crate) fn adapter(files: &ModelFiles) -> CheckpointError {
    let json = files.read_json(ADAPTER).ok().flatten().unwrap_or_default();
    let base = json.get("base_model_name_or_path").and_then(|base| base.as_str());
    CheckpointError::Adapter { path: files.path(ADAPTER), base: base.map(str::to_owned) }
}

/// Returns the distinct file names that a shard index lists.
pub(crate) fn shard_names(files: &ModelFiles, index: &str) -> Result<Vec<String>> {
    let invalid = |reason| ConfigError::Json { path: files.path(index), reason };
    let json = files.read_json(index)?.unwrap_or_default();
    let map = json
        .get("weight_map")
        .and_then(|map| map.as_object())
        .ok_or_else(|| invalid("`weight_map` should be an object".to_owned()))?;
    let mut names = Vec::new();
    for (tensor, file) in map {
        // Shards are in the same folder as their index; paths to other folders are rejected, as are names that would
        // break a line of a message.
        let name = file
            .as_str()
            .filter(|name| {
                Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
                    && !name.contains(char::is_control)
            })
            .ok_or_else(|| {
                invalid(format!("`weight_map` gives no file in this folder for `{tensor}`"))
            })?;
        names.push(name.to_owned());
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(invalid("`weight_map` lists no tensors".to_owned()).into());
    }
    Ok(names)
}
