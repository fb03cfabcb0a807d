//! [`Refusal`]: the reason why a pickle is refused.

use crate::error::{CheckpointError, Error};
use crate::model::checkpoint::source::Source;

/// Reason why a pickle is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The pickle asks for something other than tensors.
    Forbidden(String),
    /// The file is damaged.
    Damaged(String),
    /// The file could not be read.
    Failed(Error),
}

impl Refusal {
    /// Returns the error for a file.
    pub fn of(self, source: &Source) -> Error {
        match self {
            Self::Forbidden(found) => {
                CheckpointError::Pickle { path: source.path().to_owned(), found }.into()
            }
            Self::Damaged(reason) => source.damaged(reason),
            Self::Failed(error) => error,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
