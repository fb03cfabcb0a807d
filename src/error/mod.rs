//! [`Error`], with one nested type per area. Variants name the thing at fault, what was expected and what was found.

mod batcher;
mod checkpoint;
mod config;
mod device;
#[cfg(feature = "explain")]
mod explain;
#[cfg(feature = "hub")]
mod hub;
mod input;
mod one_line;
mod precision;
#[cfg(feature = "prune")]
mod prune;

use std::io;
use std::path::{Path, PathBuf};

pub use self::batcher::BatcherError;
pub use self::checkpoint::CheckpointError;
pub use self::config::ConfigError;
pub use self::device::DeviceError;
#[cfg(feature = "explain")]
pub use self::explain::ExplainError;
#[cfg(feature = "hub")]
pub use self::hub::HubError;
pub use self::input::InputError;
pub use self::precision::PrecisionError;
#[cfg(feature = "prune")]
pub use self::prune::PruneError;
use crate::names::ParseNameError;

/// Errors from loading, converting or running a model.
///
/// `Display` leaves out the text of the [`source`](std::error::Error::source), so that reporters that print the whole
/// chain print each cause once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// Operation that failed: `read` or `write`.
        operation: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Error reported by the operating system.
        source: io::Error,
    },

    /// A JSON file of the model is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The weights cannot be loaded or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),

    /// A text cannot be tokenized, or the model cannot process a batch.
    #[error(transparent)]
    Input(#[from] InputError),

    /// The processor, the threads or the GPU cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),

    /// The model or the operation does not support the requested precision.
    #[error(transparent)]
    Precision(#[from] PrecisionError),

    /// A [`Batcher`](crate::Batcher) could not be built, or did not process a request.
    #[error(transparent)]
    Batcher(#[from] BatcherError),

    /// A prediction cannot be explained.
    #[cfg(feature = "explain")]
    #[error(transparent)]
    Explain(#[from] ExplainError),

    /// A model cannot be pruned.
    #[cfg(feature = "prune")]
    #[error(transparent)]
    Prune(#[from] PruneError),

    /// A model cannot be fetched from the Hugging Face Hub.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] HubError),

    /// A string could not be parsed as an option value.
    #[error(transparent)]
    Name(#[from] ParseNameError),
}

impl Error {
    /// Returns a function that wraps an error of the operating system: `path` could not be read.
    pub(crate) fn reading(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Io { operation: "read", path: path.to_owned(), source }
    }

    /// Returns a function that wraps an error of the operating system: `path` could not be written.
    pub(crate) fn writing(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Io { operation: "write", path: path.to_owned(), source }
    }
}

/// [`Result`](std::result::Result) with this crate's [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn message_leaves_out_the_source() {
        let error = Error::reading(Path::new("config.json"))(io::ErrorKind::NotFound.into());
        assert_eq!(error.to_string(), "cannot read config.json");
        let source = error.source().map(ToString::to_string);
        assert_eq!(source, Some(io::Error::from(io::ErrorKind::NotFound).to_string()));
    }

    #[test]
    fn areas_add_nothing_to_message_and_sources() {
        let error = Error::from(InputError::EmptyRow { row: 3 });
        assert_eq!(error.to_string(), "row 3 is empty, expected at least 1 token");
        assert!(error.source().is_none());
    }
}
