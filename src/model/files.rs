//! [`ModelFiles`]: the files of a model, in a folder or in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{ConfigError, Error, Result};

/// Bytes in memory that can be shared.
pub(crate) type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Files of a model by name, such as `config.json`.
#[derive(Clone)]
pub(crate) enum ModelFiles {
    Folder(PathBuf),
    Memory(BTreeMap<String, SharedBytes>),
}

impl ModelFiles {
    /// Returns the path of a file, as errors name it.
    pub fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Memory(_) => PathBuf::from(name),
        }
    }

    /// Returns `true` if there is something of this name.
    pub fn exists(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).exists(),
            Self::Memory(files) => files.contains_key(name),
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
            Self::Memory(files) => Ok(files.get(name).map(|bytes| (**bytes).as_ref().into())),
        }
    }

    /// Reads a JSON file whose top level is an object, if it exists.
    ///
    /// # Errors
    /// Fails like [`read`](Self::read), and with [`ConfigError::Json`].
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

/// Parses JSON whose top level is an object; errors name `path`.
fn parse_json(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>> {
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
        let bytes: SharedBytes = Arc::new(br#"{"dim": 4}"#);
        let memory = ModelFiles::Memory([("config.json".to_owned(), bytes)].into());
        for files in [ModelFiles::Folder(folder.path().to_owned()), memory] {
            assert!(files.exists("config.json") && !files.exists("vocab.txt"));
            assert_eq!(files.read_json("config.json").unwrap().unwrap()["dim"], 4);
            assert!(files.read("vocab.txt").unwrap().is_none());
        }
    }

    #[test]
    fn rejects_what_is_not_a_regular_file() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::create_dir(folder.path().join("config.json")).unwrap();
        let error = ModelFiles::Folder(folder.path().to_owned()).read("config.json").unwrap_err();
        assert!(matches!(error, Error::Io { operation: "read", .. }), "{error}");
    }
}
