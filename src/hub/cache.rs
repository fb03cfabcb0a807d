//! [`Cache`]: the folder of one repository in the cache that Hugging Face's tools share.
//!
//! ```text
//! models--org--name/
//!   blobs/ETAG                  contents, each once
//!   refs/main                   the branch's commit
//!   snapshots/COMMIT/FILE       a link to the contents
//! .locks/models--org--name/ETAG.lock
//! ```
//!
//! Contents, links and commits appear under their names only once they are complete. Locks save a second download;
//! nothing relies on them, because some network file systems ignore them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::repository::Repository;
use crate::error::{Error, Result};

/// Folder of one repository.
pub(super) struct Cache {
    folder: PathBuf,
    locks: PathBuf,
}

impl Cache {
    /// Returns the repository's part of the cache in `root`; nothing is created.
    pub fn new(root: &Path, repository: &Repository) -> Self {
        let name = repository.folder();
        Self { folder: root.join(&name), locks: root.join(".locks").join(name) }
    }

    /// Returns the commit of a revision that was downloaded before.
    pub fn commit(&self, repository: &Repository) -> Option<String> {
        if repository.is_commit() {
            return Some(repository.revision.clone());
        }
        let commit =
            fs::read_to_string(self.folder.join("refs").join(&repository.revision)).ok()?;
        let commit = commit.trim();
        super::repository::is_file_name(commit).then(|| commit.to_owned())
    }

    /// Stores the commit of a revision, unless the revision is a commit.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_commit(&self, repository: &Repository, commit: &str) -> Result<()> {
        if repository.revision == commit || self.commit(repository).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(&repository.revision);
        replace(&path, |temporary| fs::write(temporary, commit))
    }

    /// Returns the folder with the files of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Returns the path of the contents with an entity tag, and `true` if they exist.
    pub fn blob(&self, etag: &str, size: Option<u64>) -> (PathBuf, bool) {
        let path = self.folder.join("blobs").join(etag);
        let is_complete = fs::metadata(&path)
            .is_ok_and(|found| found.is_file() && size.is_none_or(|size| found.len() == size));
        (path, is_complete)
    }

    /// Waits until no other process is downloading the contents with an entity tag, and makes others wait until the
    /// returned file is dropped.
    ///
    /// # Errors
    /// [`Error::Io`] if the lock's file cannot be created.
    pub fn lock(&self, etag: &str) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        create_parent(&path)?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(Error::writing(&path))?;
        // A file system without locks costs at most a second download.
        let _ = file.lock();
        Ok(file)
    }

    /// Links a commit's file to its contents.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        let up = "../".repeat(2 + Path::new(file).components().count() - 1);
        let (blob, _) = self.blob(etag, None);
        replace(&path, |link| symlink(Path::new(&format!("{up}blobs/{etag}")), &blob, link))
    }
}

/// Makes a link to `target`, relative to the link; where links aren't possible, copies `contents`.
fn symlink(target: &Path, contents: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(target, link);
    #[cfg(not(any(unix, windows)))]
    let linked: io::Result<()> = Err(io::ErrorKind::Unsupported.into());
    linked.or_else(|_| fs::copy(contents, link).map(|_| ()))
}

/// Creates a file under a temporary name and then gives it its final one.
fn replace(path: &Path, create: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    create_parent(path)?;
    let temporary = Temporary::new(path);
    create(&temporary.path).map_err(Error::writing(path))?;
    temporary.keep_as(path)
}

/// Creates the folder of a file.
pub(super) fn create_parent(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::writing(folder))
}

/// Temporary name that no other download uses; the file of this name is removed when it is dropped.
pub(super) struct Temporary {
    pub path: PathBuf,
}

impl Temporary {
    /// Returns a name beside `path`.
    pub fn new(path: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{:x}-{number:x}.incomplete", std::process::id()));
            let path = path.with_file_name(name);
            if path.symlink_metadata().is_err() {
                return Self { path };
            }
        }
    }

    /// Gives the file its final name, replacing any file of that name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_as(self, path: &Path) -> Result<()> {
        fs::rename(&self.path, path).map_err(Error::writing(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `keep_as`, there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(revision: &str) -> Repository {
        Repository::new("org/name", revision).unwrap()
    }

    #[test]
    fn commits_are_stored_under_their_revision() {
        let root = tempfile::tempdir().unwrap();
        for revision in ["main", "refs/pr/1"] {
            let repository = repository(revision);
            let cache = Cache::new(root.path(), &repository);
            assert_eq!(cache.commit(&repository), None);
            for commit in ["abc", "def"] {
                cache.set_commit(&repository, commit).unwrap();
                assert_eq!(cache.commit(&repository).as_deref(), Some(commit));
            }
            let path = root.path().join("models--org--name/refs").join(revision);
            assert_eq!(fs::read_to_string(&path).unwrap(), "def");
            let folder = fs::read_dir(path.parent().unwrap()).unwrap();
            assert!(folder.count() <= 2, "temporary files are left");
        }
        let commit = repository(&"0".repeat(40));
        let cache = Cache::new(root.path(), &commit);
        cache.set_commit(&commit, &commit.revision).unwrap();
        assert!(!root.path().join("models--org--name/refs").join(&commit.revision).exists());
    }

    #[test]
    fn links_replace_broken_ones() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path(), &repository("main"));
        for (file, etag) in [("a.json", "one"), ("a.json", "two"), ("sub/b.json", "two")] {
            let (blob, _) = cache.blob(etag, None);
            // The first link to each blob is broken when it is replaced.
            cache.link("abc", file, "missing").unwrap();
            create_parent(&blob).unwrap();
            fs::write(&blob, etag).unwrap();
            cache.link("abc", file, etag).unwrap();
            assert_eq!(fs::read_to_string(cache.snapshot("abc").join(file)).unwrap(), etag);
        }
    }

    #[test]
    fn contents_of_another_size_are_incomplete() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path(), &repository("main"));
        let (blob, exists) = cache.blob("tag", None);
        assert!(!exists);
        create_parent(&blob).unwrap();
        fs::write(&blob, "1234").unwrap();
        assert!(cache.blob("tag", None).1 && cache.blob("tag", Some(4)).1);
        assert!(!cache.blob("tag", Some(5)).1);
    }

    #[test]
    fn temporary_files_are_removed_unless_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (dropped, kept) = (Temporary::new(&path), Temporary::new(&path));
        assert_ne!(dropped.path, kept.path);
        fs::write(&dropped.path, "1").unwrap();
        fs::write(&kept.path, "2").unwrap();
        drop(dropped);
        kept.keep_as(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
