//! [`Source`]: positioned reads of a weight file, and detection of changes to it.

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
#[cfg(not(any(unix, windows)))]
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{CheckpointError, Error, Result};
use crate::model::files::SharedBytes;

/// Weight file, which any number of threads can read concurrently.
///
/// The file is not memory-mapped: if another process truncated it, accesses to the mapping would fault.
pub(crate) struct Source {
    /// Path that errors name.
    path: PathBuf,
    /// Length in bytes when the source was opened.
    len: u64,
    bytes: Bytes,
}

enum Bytes {
    #[cfg(any(unix, windows))]
    File { file: File, modified: Option<SystemTime> },
    /// Whole file in memory: the caller's bytes, or a file on systems without positioned reads.
    Memory(SharedBytes),
}

/// Contiguous bytes of a [`Source`].
#[derive(Clone, Copy)]
pub(crate) struct Region<'a> {
    pub source: &'a Source,
    pub offset: u64,
    pub len: usize,
}

impl Source {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`CheckpointError::Damaged`] if the path names something other than a file.
    pub fn open(path: &Path) -> Result<Self> {
        let io_error = Error::reading(path);
        // Opening a pipe would block until it has a writer.
        if !fs::metadata(path).map_err(io_error)?.is_file() {
            let reason = "it is not a file".to_owned();
            return Err(CheckpointError::Damaged { path: path.to_owned(), reason }.into());
        }
        #[cfg(any(unix, windows))]
        {
            let file = File::open(path).map_err(io_error)?;
            let metadata = file.metadata().map_err(io_error)?;
            let bytes = Bytes::File { file, modified: metadata.modified().ok() };
            Ok(Self { path: path.to_owned(), len: metadata.len(), bytes })
        }
        #[cfg(not(any(unix, windows)))]
        Ok(Self::from_bytes(path, Arc::new(fs::read(path).map_err(io_error)?)))
    }

    /// Wraps bytes in memory, which errors call `path`.
    pub fn from_bytes(path: &Path, bytes: SharedBytes) -> Self {
        let len = (*bytes).as_ref().len() as u64;
        Self { path: path.to_owned(), len, bytes: Bytes::Memory(bytes) }
    }

    /// Returns the path that errors name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the length in bytes when the source was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` with the bytes from `offset` on, which must lie within [`len`](Self::len).
    ///
    /// # Errors
    /// [`CheckpointError::FileChanged`], naming `content`, if the file has become too short; [`Error::Io`].
    pub fn read(&self, content: impl Display, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut found = 0;
        while found < buffer.len() {
            match self.read_some(offset + found as u64, &mut buffer[found..]) {
                Ok(0) => {
                    let expected = buffer.len();
                    return Err(self.changed(format!(
                        "{content} should have {expected} bytes at offset {offset}, found {found}"
                    )));
                }
                Ok(count) => found += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::reading(&self.path)(source)),
            }
        }
        Ok(())
    }

    /// Reads at least one byte, unless the source ends at `offset`.
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.bytes {
            #[cfg(unix)]
            Bytes::File { file, .. } => std::os::unix::fs::FileExt::read_at(file, buffer, offset),
            #[cfg(windows)]
            Bytes::File { file, .. } => {
                std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
            }
            Bytes::Memory(bytes) => {
                let bytes = (**bytes).as_ref();
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let count = buffer.len().min(bytes.len() - start);
                buffer[..count].copy_from_slice(&bytes[start..start + count]);
                Ok(count)
            }
        }
    }

    /// Checks that the file's length and modification time are still those at opening.
    ///
    /// # Errors
    /// [`CheckpointError::FileChanged`], or [`Error::Io`].
    pub fn check_unchanged(&self) -> Result<()> {
        match &self.bytes {
            #[cfg(any(unix, windows))]
            Bytes::File { file, modified } => {
                let metadata = file.metadata().map_err(Error::reading(&self.path))?;
                if metadata.len() != self.len {
                    let (expected, found) = (self.len, metadata.len());
                    return Err(
                        self.changed(format!("it had {expected} bytes and now has {found}"))
                    );
                }
                if metadata.modified().ok() != *modified {
                    return Err(self.changed("it was written to after it was opened".to_owned()));
                }
                Ok(())
            }
            Bytes::Memory(_) => Ok(()),
        }
    }

    /// Returns the error that the file is damaged.
    pub fn damaged(&self, reason: String) -> Error {
        CheckpointError::Damaged { path: self.path.clone(), reason }.into()
    }

    /// Returns the error that the file changed.
    fn changed(&self, reason: String) -> Error {
        CheckpointError::FileChanged { path: self.path.clone(), reason }.into()
    }
}

impl Region<'_> {
    /// Fills `buffer` with the bytes from `start` on, counted from the region's first byte.
    ///
    /// # Errors
    /// Fails like [`Source::read`], naming `tensor`.
    pub fn read(&self, tensor: &str, start: usize, buffer: &mut [u8]) -> Result<()> {
        let is_inside = start.checked_add(buffer.len()).is_some_and(|end| end <= self.len);
        assert!(is_inside, "tensor `{tensor}` ends before the bytes to read");
        self.source.read(format_args!("tensor `{tensor}`"), self.offset + start as u64, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    const CONTENT: &[u8] = b"0123456789";

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, CONTENT).unwrap();
        (folder, path)
    }

    #[test]
    fn reads_the_same_bytes_from_file_and_memory() {
        let (_folder, path) = file();
        let memory = Source::from_bytes(&path, Arc::new(CONTENT));
        for source in [Source::open(&path).unwrap(), memory] {
            assert_eq!(source.len(), 10);
            let mut buffer = [0; 4];
            Region { source: &source, offset: 2, len: 7 }.read("x", 3, &mut buffer).unwrap();
            assert_eq!(&buffer, b"5678");
            source.check_unchanged().unwrap();
            match source.read("the tail", 8, &mut buffer).unwrap_err() {
                Error::Checkpoint(CheckpointError::FileChanged { path: found, reason }) => {
                    assert_eq!(found, path);
                    assert!(reason.contains("the tail should have 4 bytes"), "{reason}");
                    assert!(reason.ends_with("offset 8, found 2"), "{reason}");
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn detects_changed_length_and_modification_time() {
        let (_folder, path) = file();
        let source = Source::open(&path).unwrap();
        let writer = File::options().write(true).open(&path).unwrap();
        let changed = || {
            matches!(
                source.check_unchanged(),
                Err(Error::Checkpoint(CheckpointError::FileChanged { .. }))
            )
        };
        let opened = fs::metadata(&path).unwrap().modified().unwrap();
        for len in [0, 9, 11] {
            writer.set_len(len).unwrap();
            assert!(changed(), "{len}");
        }
        fs::write(&path, CONTENT).unwrap();
        writer.set_modified(opened + Duration::from_secs(1)).unwrap();
        assert!(changed());
        writer.set_modified(opened).unwrap();
        assert!(!changed());
    }

    #[test]
    fn rejects_paths_that_are_not_files() {
        let (folder, _) = file();
        let error = Source::open(folder.path()).err().unwrap();
        assert!(matches!(error, Error::Checkpoint(CheckpointError::Damaged { .. })), "{error}");
        let error = Source::open(&folder.path().join("missing")).err().unwrap();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
