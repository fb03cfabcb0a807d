//! Writing of a model folder, each file under a temporary name until it is complete.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

use safetensors::{Dtype, View};

use crate::error::{CheckpointError, Error, Result};
use crate::model::checkpoint::{Checkpoint, Region, WEIGHTS};
use crate::model::files::{CONFIG, TOKENIZER_FILES, read_regular};

/// Contents of a folder to write.
pub(crate) struct Folder<'a> {
    pub config: Vec<u8>,
    pub tensors: BTreeMap<String, Tensor<'a>>,
    pub metadata: (&'static str, &'static str),
}

impl Folder<'_> {
    /// Writes the folder and copies the tokenizer's files from `from`. Files are renamed to their final names after
    /// all weights are written, the weight file last.
    ///
    /// # Errors
    /// [`CheckpointError::Exists`] if a file would be overwritten; [`CheckpointError::FileChanged`] if the weights of
    /// `checkpoint` changed while they were being read; [`Error::Io`].
    pub fn write(self, checkpoint: &Checkpoint, from: &Path, to: &Path) -> Result<()> {
        let companions: Vec<_> =
            TOKENIZER_FILES.into_iter().filter(|name| from.join(name).exists()).collect();
        for name in [WEIGHTS, CONFIG].iter().chain(&companions) {
            let path = to.join(name);
            if path.exists() {
                return Err(CheckpointError::Exists { path }.into());
            }
        }
        fs::create_dir_all(to).map_err(Error::writing(to))?;
        let weights = PartialFile::new(to.join(WEIGHTS));
        write_tensors(&weights, self.tensors, self.metadata)?;
        checkpoint.check_unchanged()?;
        for name in companions {
            let file = PartialFile::new(to.join(name));
            let content = read_regular(&from.join(name))?;
            file.write(|partial| fs::write(partial, content))?;
            file.rename()?;
        }
        let config = PartialFile::new(to.join(CONFIG));
        config.write(|partial| fs::write(partial, &self.config))?;
        config.rename()?;
        weights.rename()
    }
}

fn write_tensors(
    file: &PartialFile,
    tensors: BTreeMap<String, Tensor<'_>>,
    (key, value): (&str, &str),
) -> Result<()> {
    let metadata = HashMap::from([(key.to_owned(), value.to_owned())]);
    let failure = OnceCell::new();
    let views =
        tensors.iter().map(|(name, tensor)| (name, TensorView { tensor, failure: &failure }));
    let written = file.write(|partial| {
        safetensors::serialize_to_file(views, Some(metadata), partial).map_err(io::Error::other)
    });
    match failure.into_inner() {
        Some(error) => Err(error),
        None => written,
    }
}

/// File that is written under a temporary name, and removed when dropped unless it was renamed: an incomplete file is
/// useless, and a full disk needs the space.
struct PartialFile {
    partial: PathBuf,
    path: PathBuf,
}

impl PartialFile {
    fn new(path: PathBuf) -> Self {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        Self { partial: partial.into(), path }
    }

    /// Calls `write` with the temporary path, after removing any file of this name: a link to another file would be
    /// followed, and a named pipe would wait for a reader.
    fn write(&self, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        match fs::remove_file(&self.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::writing(&self.path)(error));
            }
            _ => {}
        }
        write(&self.partial).map_err(Error::writing(&self.path))
    }

    /// Renames the file to its final name.
    fn rename(self) -> Result<()> {
        fs::rename(&self.partial, &self.path).map_err(Error::writing(&self.path))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Tensor to write.
pub(crate) struct Tensor<'a> {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub content: Content<'a>,
}

/// Bytes of a tensor to write.
pub(crate) enum Content<'a> {
    Bytes(Vec<u8>),
    /// Bytes that are copied from a weight file only when they are written, so that one tensor at a time is in memory.
    Stored {
        name: String,
        region: Region<'a>,
    },
}

impl Content<'_> {
    /// Reads all bytes.
    ///
    /// # Errors
    /// Fails like [`Region::read`].
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Content::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Content::Stored { name, region } => {
                let mut bytes = vec![0; region.len];
                region.read(name, 0, &mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

/// Tensor for the `safetensors` crate. Its trait cannot return errors, so `failure` records the first one.
struct TensorView<'a> {
    tensor: &'a Tensor<'a>,
    failure: &'a OnceCell<Error>,
}

impl View for TensorView<'_> {
    fn dtype(&self) -> Dtype {
        self.tensor.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.failure.get().is_none() {
            match self.tensor.content.bytes() {
                Ok(bytes) => return bytes,
                Err(error) => drop(self.failure.set(error)),
            }
        }
        vec![0; self.data_len()].into()
    }

    fn data_len(&self) -> usize {
        match &self.tensor.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Stored { region, .. } => region.len,
        }
    }
}
