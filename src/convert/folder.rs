//! A model folder as it is written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

use safetensors::{Dtype, View};

use crate::error::{Error, Result};
use crate::model::checkpoint::WEIGHTS;

pub(super) const CONFIG: &str = "config.json";

/// What a folder has besides its weights and its configuration, as far as it is there.
const COMPANIONS: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];

/// A folder to be written.
pub(super) struct Folder<'a> {
    pub config: Vec<u8>,
    pub tensors: BTreeMap<String, Tensor<'a>>,
    pub metadata: (&'static str, &'static str),
}

impl Folder<'_> {
    /// Writes the folder, with the tokenizer of `from`. A file has its name only once it is whole, and the
    /// weights come last.
    pub fn write(self, from: &Path, to: &Path) -> Result<()> {
        let companions: Vec<_> =
            COMPANIONS.into_iter().filter(|name| from.join(name).exists()).collect();
        for name in [WEIGHTS, CONFIG].iter().chain(&companions) {
            let path = to.join(name);
            if path.exists() {
                return Err(Error::Exists { path });
            }
        }
        let write_error = |source| Error::Write { path: to.to_owned(), source };
        fs::create_dir_all(to).map_err(write_error)?;
        for name in companions {
            whole(&to.join(name), |partial| fs::copy(from.join(name), partial).map(drop))?;
        }
        whole(&to.join(CONFIG), |partial| fs::write(partial, &self.config))?;
        let (key, value) = self.metadata;
        let metadata = HashMap::from([(key.to_owned(), value.to_owned())]);
        whole(&to.join(WEIGHTS), |partial| {
            safetensors::serialize_to_file(self.tensors, Some(metadata), partial)
                .map_err(io::Error::other)
        })
    }
}

/// Lets `write` write a file under another name and then gives it its own.
fn whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write(&partial).and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // What is left of a failure is of no use, and a disk that is full needs the room.
        let _ = fs::remove_file(&partial);
        Error::Write { path: path.to_owned(), source }
    })
}

/// A tensor as it is written.
pub(super) struct Tensor<'a> {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Cow<'a, [u8]>,
}

impl View for Tensor<'_> {
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
