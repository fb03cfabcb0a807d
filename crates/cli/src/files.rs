//! Files that a command reads and writes: identity, and the checks before anything is written.

use std::fs;
#[cfg(unix)]
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::table::input::STANDARD;

/// File that a command reads, to tell whether an output would overwrite it.
pub struct Source {
    path: PathBuf,
    identity: Option<Identity>,
}

impl Source {
    /// Looks up a file, or standard input for `-`.
    pub fn new(path: &Path) -> Self {
        let is_standard = path.as_os_str() == STANDARD;
        let identity = if is_standard { standard::input() } else { of_path(path) };
        Self { path: path.into(), identity }
    }

    /// Looks up standard input.
    pub fn standard_input() -> Self {
        Self::new(Path::new(STANDARD))
    }

    /// Looks up the files of a folder.
    pub fn of_folder(folder: &Path) -> Vec<Self> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| Self::new(&entry.path())).collect()
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

/// Checks that a file to be written is not one of the files that are read, under any name.
///
/// # Errors
/// [`Failure::OutputIsInput`].
pub fn check_output(output: &Path, sources: &[Source]) -> Result<(), Failure> {
    let found = of_path(output);
    let is_same = |source: &&Source| found.is_some() && source.identity == found;
    match sources.iter().find(is_same) {
        Some(source) => Err(Failure::OutputIsInput { output: output.into(), input: source.path() }),
        None => Ok(()),
    }
}

/// Checks that standard output is not a file that is read: the output would be read again, without end.
///
/// # Errors
/// [`Failure::OutputIsInput`].
pub fn check_standard_output(source: &Source) -> Result<(), Failure> {
    let found = standard::output();
    if found.is_some() && found == source.identity {
        return Err(Failure::OutputIsInput { output: STANDARD.into(), input: source.path() });
    }
    Ok(())
}

/// Identity of a file, whatever its name.
#[cfg(unix)]
#[derive(PartialEq)]
struct Identity {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
fn identity(about: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    // A terminal or /dev/null may be both.
    let is_device = about.file_type().is_char_device();
    (!is_device).then(|| Identity { device: about.dev(), inode: about.ino() })
}

#[cfg(unix)]
fn of_path(path: &Path) -> Option<Identity> {
    identity(&fs::metadata(path).ok()?)
}

#[cfg(unix)]
mod standard {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    use super::{Identity, identity};

    pub fn input() -> Option<Identity> {
        of(io::stdin().as_fd())
    }

    pub fn output() -> Option<Identity> {
        of(io::stdout().as_fd())
    }

    fn of(stream: BorrowedFd<'_>) -> Option<Identity> {
        let file = File::from(stream.try_clone_to_owned().ok()?);
        identity(&file.metadata().ok()?)
    }
}

/// Identity of a file: its path without links.
#[cfg(not(unix))]
#[derive(PartialEq)]
struct Identity(PathBuf);

#[cfg(not(unix))]
fn of_path(path: &Path) -> Option<Identity> {
    fs::canonicalize(path).ok().map(Identity)
}

#[cfg(not(unix))]
mod standard {
    use super::Identity;

    pub fn input() -> Option<Identity> {
        None
    }

    pub fn output() -> Option<Identity> {
        None
    }
}
