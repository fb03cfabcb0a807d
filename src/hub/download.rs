//! [`Download`]: files of one commit, from the Hub to the cache.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use ring::digest::{Context, SHA256};

use super::cache::{Cache, Temporary, create_parent};
use super::client::{Client, FileInfo, RETRIES, may_pass, pause, with_retries};
use super::options::{DownloadProgress, OnProgress};
use super::repository::Repository;
use crate::error::{Error, HubError, Result};

/// Bytes read at once.
const BLOCK: usize = 128 << 10;

/// Download of files of one commit.
pub(super) struct Download<'a> {
    pub client: &'a Client,
    pub cache: &'a Cache,
    pub repository: &'a Repository,
    pub commit: &'a str,
    pub on_progress: Option<&'a OnProgress>,
}

impl Download<'_> {
    /// Downloads a file, unless it is in the cache.
    ///
    /// # Errors
    /// [`Error::Hub`], or [`Error::Io`] if the cache cannot be written.
    pub fn fetch(&self, file: &str) -> Result<()> {
        if self.cache.snapshot(self.commit).join(file).exists() {
            return Ok(());
        }
        let info = with_retries(RETRIES, || self.locate(file))?;
        let _lock = self.cache.lock(&info.etag)?;
        let (blob, is_complete) = self.cache.blob(&info.etag, info.size);
        let etag = info.etag.clone();
        if !is_complete {
            self.receive(file, info, &blob)?;
        }
        self.cache.link(self.commit, file, &etag)
    }

    fn locate(&self, file: &str) -> Result<FileInfo, HubError> {
        self.client.locate(self.repository, self.commit, file)
    }

    /// Downloads contents; after an interruption, continues where they ended.
    fn receive(&self, file: &str, mut info: FileInfo, blob: &Path) -> Result<()> {
        create_parent(blob)?;
        let mut partial = Partial::create(blob)?;
        let mut failures = 0;
        while let Err(error) = self.receive_rest(file, &info, &mut partial) {
            match error {
                // The signature in the location of the contents may have expired.
                Error::Hub(error)
                    if failures < RETRIES
                        && (may_pass(&error)
                            || matches!(error, HubError::Status { status: 403, .. })) =>
                {
                    pause(failures);
                }
                error => return Err(error),
            }
            failures += 1;
            let again = with_retries(RETRIES, || self.locate(file))?;
            if again.etag != info.etag {
                return Err(self.broken(file, "its ETag changed").into());
            }
            info = again;
        }
        partial.keep_as(blob)
    }

    /// Downloads the missing part of the contents, and checks them as a whole.
    fn receive_rest(&self, file: &str, info: &FileInfo, partial: &mut Partial) -> Result<()> {
        let contents = match self.client.contents(&info.url, partial.len) {
            Err(HubError::Status { status: 416, .. }) => {
                partial.restart()?;
                return Err(self.broken(file, "the Hub does not have the rest of it").into());
            }
            contents => contents?,
        };
        if contents.start != partial.len {
            partial.restart()?;
        }
        let (mut reader, total) = (contents.reader, info.size.or(contents.size));
        let mut block = vec![0; BLOCK];
        loop {
            self.report(file, partial.len, total);
            let read = reader.read(&mut block);
            let count = read.map_err(|error| self.broken(file, error.to_string()))?;
            if count == 0 {
                break;
            }
            partial.write(&block[..count])?;
            if total.is_some_and(|total| partial.len > total) {
                break;
            }
        }
        let found = partial.len;
        if let Some(expected) = total.filter(|&expected| expected != found) {
            if found > expected {
                partial.restart()?;
            }
            let reason = format!("it should have {expected} bytes, found {found}");
            return Err(self.broken(file, reason).into());
        }
        if info.is_sha256 && !partial.sha256().eq_ignore_ascii_case(&info.etag) {
            partial.restart()?;
            return Err(self.broken(file, "its SHA-256 is not that of the Hub's file").into());
        }
        Ok(())
    }

    fn report(&self, file: &str, received: u64, total: Option<u64>) {
        if let Some(on_progress) = self.on_progress {
            on_progress(&DownloadProgress { file, received, total });
        }
    }

    fn broken(&self, file: &str, reason: impl Into<String>) -> HubError {
        let id = self.repository.id.clone();
        HubError::Transfer { id, file: file.to_owned(), reason: reason.into() }
    }
}

/// Contents received so far.
struct Partial {
    name: Temporary,
    file: File,
    len: u64,
    hash: Context,
}

impl Partial {
    /// Creates an empty file beside `blob`.
    fn create(blob: &Path) -> Result<Self> {
        let name = Temporary::new(blob);
        let file = File::create_new(&name.path).map_err(Error::writing(&name.path))?;
        Ok(Self { name, file, len: 0, hash: Context::new(&SHA256) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::writing(&self.name.path))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Discards what was received.
    fn restart(&mut self) -> Result<()> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        cleared.map_err(Error::writing(&self.name.path))?;
        (self.len, self.hash) = (0, Context::new(&SHA256));
        Ok(())
    }

    /// Returns the SHA-256 in hexadecimal digits.
    fn sha256(&self) -> String {
        let digest = self.hash.clone().finish();
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Moves the contents to their final name once they are on the disk.
    fn keep_as(self, blob: &Path) -> Result<()> {
        self.file.sync_all().map_err(Error::writing(&self.name.path))?;
        drop(self.file);
        self.name.keep_as(blob)
    }
}
