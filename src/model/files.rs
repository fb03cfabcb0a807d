//! [`ModelFiles`]: the files of a model, in a folder or in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{ConfigError, Error, Result};
use crate::model::checkpoint::Source;

/// Maximum memory that a JSON value and an object take while they are parsed, in bytes.
const VALUE_BYTES: usize = 96;
const OBJECT_BYTES: usize = 700;

/// Memory that the values of a JSON file may take beyond 8 bytes for each of its own.
pub(crate) const SMALL_JSON: usize = 24 << 20;

/// Bytes in memory that can be shared.
pub(crate) type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Configuration of a model.
pub(crate) const CONFIG: &str = "config.json";

/// Files that a tokenizer is built from, those of them that exist.
pub(crate) const TOKENIZER_FILES: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
];

/// Files of a model in memory, for [`Classifier::builder_from`](crate::Classifier::builder_from).
///
/// Each file has the name that it has in a model folder: `config.json`; the weights `model.safetensors`,
/// `pytorch_model.bin` or (with the feature `tensorflow`) `tf_model.h5`, whole or as shards with their index; and the
/// tokenizer's files. Without `tokenizer.json` and `vocab.txt`, the classifier takes token ids only.
///
/// The bytes may be of any type that implements `AsRef<[u8]>`, such as `&'static [u8]`, `Vec<u8>`, `Arc<[u8]>` or
/// `bytes::Bytes`. They are never copied as a whole: loading reads each tensor from them straight into the layout of
/// the kernels. Clones share the bytes.
///
/// ```
/// use distilbert::{Classifier, ModelBytes, TokenBatch};
///
/// let files = ModelBytes::new()
///     .file("config.json", std::fs::read("models/emotion/config.json")?)
///     .file("model.safetensors", std::fs::read("models/emotion/model.safetensors")?);
/// let classifier = Classifier::builder_from(files).build()?;
/// let batch = TokenBatch::from_rows(&[[101, 1045, 3335, 2032, 102]])?;
/// assert_eq!(classifier.classify_tokens(&batch)?[0].label(), "sadness");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ModelBytes {
    files: BTreeMap<String, SharedBytes>,
}

impl ModelBytes {
    /// Returns a model without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file by its name in a model folder, such as `config.json`. It replaces a file of the same name.
    #[must_use]
    pub fn file(
        mut self,
        name: impl Into<String>,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Self {
        self.files.insert(name.into(), Arc::new(bytes));
        self
    }
}

impl fmt::Debug for ModelBytes {
    /// Lists the files' names and sizes in bytes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.files.iter().map(|(name, bytes)| (name, (**bytes).as_ref().len()));
        formatter.debug_map().entries(sizes).finish()
    }
}

/// Files of a model by name, such as `config.json`.
#[derive(Clone, Debug)]
pub(crate) enum ModelFiles {
    Folder(PathBuf),
    Memory(ModelBytes),
}

impl ModelFiles {
    /// Returns `true` for files in memory that include no tokenizer, whose model takes token ids only. In a folder, a
    /// missing tokenizer is a mistake.
    #[cfg(feature = "text")]
    pub fn is_without_tokenizer(&self) -> bool {
        let has_tokenizer = || self.exists("tokenizer.json") || self.exists("vocab.txt");
        matches!(self, Self::Memory(_)) && !has_tokenizer()
    }

    /// Returns the model folder, or an empty path for files in memory.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::Memory(_) => PathBuf::new(),
        }
    }

    /// Returns the path of a file, as errors name it.
    pub fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Memory(_) => PathBuf::from(name),
        }
    }

    /// Returns `true` if there is a file or folder of this name.
    pub fn exists(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).exists(),
            Self::Memory(memory) => memory.files.contains_key(name),
        }
    }

    /// Reads a file whole, if it exists. Meant for settings and tokenizers, not for weights.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read or is not a regular file.
    pub fn read(&self, name: &str) -> Result<Option<Cow<'_, [u8]>>> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                if !path.exists() {
                    return Ok(None);
                }
                Ok(Some(read_regular(&path)?.into()))
            }
            Self::Memory(memory) => {
                Ok(memory.files.get(name).map(|bytes| (**bytes).as_ref().into()))
            }
        }
    }

    /// Opens a file for positioned reads. Bytes in memory are shared and not copied.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such file; otherwise fails like [`Source::open`].
    pub fn open(&self, name: &str) -> Result<Source> {
        let path = self.path(name);
        match self {
            Self::Folder(_) => Source::open(&path),
            Self::Memory(memory) => match memory.files.get(name) {
                Some(bytes) => Ok(Source::from_bytes(&path, bytes.clone())),
                None => Err(Error::reading(&path)(io::ErrorKind::NotFound.into())),
            },
        }
    }

    /// Reads a JSON file whose top level is an object, if it exists.
    ///
    /// # Errors
    /// Fails like [`read`](Self::read), and with [`ConfigError::Json`] if the file is invalid or its values would take
    /// much more memory than the file.
    pub fn read_json(&self, name: &str) -> Result<Option<Map<String, Value>>> {
        self.read(name)?.map(|bytes| parse_json(&self.path(name), &bytes)).transpose()
    }
}

/// Reads a regular file whole. Opening a pipe would block until it has a writer.
///
/// # Errors
/// [`Error::Io`] if it cannot be read or is not a regular file.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let failed = Error::reading(path);
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

/// Checks that the values of a JSON text would take at most 8 bytes for each of its own, and `small`: a parser turns an
/// empty object of two bytes into hundreds.
///
/// # Errors
/// Returns the reason as text.
pub(crate) fn check_json(bytes: &[u8], small: usize) -> Result<(), String> {
    let (mut memory, mut is_text, mut is_escaped) = (0, false, false);
    for &byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'{' if !is_text => memory += OBJECT_BYTES,
            b'[' | b',' if !is_text => memory += VALUE_BYTES,
            _ => {}
        }
    }
    let limit = bytes.len().saturating_mul(8).saturating_add(small);
    if memory <= limit {
        return Ok(());
    }
    Err(format!("its values would take about {memory} bytes of memory, expected at most {limit}"))
}

/// Parses JSON whose top level is an object; errors name `path`.
fn parse_json(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>> {
    check_json(bytes, SMALL_JSON)
        .map_err(|reason| ConfigError::Json { path: path.to_owned(), reason })?;
    serde_json::from_slice(bytes).map_err(|error| {
        ConfigError::Json { path: path.to_owned(), reason: error.to_string() }.into()
    })
}

/// Reads a JSON file whose top level is an object.
///
/// # Errors
/// [`Error::Io`] if it cannot be read or is not a regular file, and [`ConfigError::Json`].
pub(crate) fn read_json_object(path: &Path) -> Result<Map<String, Value>> {
    parse_json(path, &read_regular(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_and_memory_hold_the_same_files() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("config.json"), r#"{"dim": 4}"#).unwrap();
        let memory = ModelBytes::new().file("config.json", br#"{"dim": 4}"#);
        let memory = ModelFiles::Memory(memory);
        for files in [ModelFiles::Folder(folder.path().to_owned()), memory] {
            assert!(files.exists("config.json") && !files.exists("vocab.txt"));
            assert_eq!(files.read_json("config.json").unwrap().unwrap()["dim"], 4);
            assert!(files.read("vocab.txt").unwrap().is_none());
        }
    }

    #[test]
    fn rejects_json_whose_values_take_much_memory() {
        for (value, is_refused) in
            [("0", true), ("{}", true), ("[]", true), ("\"a, long text\"", false)]
        {
            let json = format!("{{\"x\": [{}{value}]}}", format!("{value},").repeat(400_000));
            let files = ModelFiles::Memory(ModelBytes::new().file("config.json", json));
            assert_eq!(files.read_json("config.json").is_err(), is_refused, "{value}");
        }
        let text = "[{,\\\"".repeat(100_000);
        assert_eq!(check_json(format!("[\"{text}\"]").as_bytes(), SMALL_JSON), Ok(()));
    }

    #[test]
    fn rejects_what_is_not_a_regular_file() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::create_dir(folder.path().join("config.json")).unwrap();
        let error = ModelFiles::Folder(folder.path().to_owned()).read("config.json").unwrap_err();
        assert!(matches!(error, Error::Io { operation: "read", .. }), "{error}");
    }
}
