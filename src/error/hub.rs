//! [`HubError`]: models that cannot be fetched from the Hugging Face Hub.

use std::error::Error;
use std::path::PathBuf;

/// Errors from fetching a model from the Hugging Face Hub or from its cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A string is not the name of a repository.
    #[error("`{id}` is not the name of a model: {reason}")]
    InvalidId {
        /// String given as the name.
        id: String,
        /// Rule that it breaks.
        reason: &'static str,
    },

    /// A string is not the name of a revision.
    #[error("`{revision}` is not a revision: expected a branch, a tag or a commit")]
    InvalidRevision {
        /// String given as the revision.
        revision: String,
    },

    /// The address of the Hub is not a URL.
    #[error("`{endpoint}` is not the address of a hub: expected http:// or https:// and a host")]
    InvalidEndpoint {
        /// Address, from [`HubOptions::endpoint`](crate::hub::HubOptions::endpoint) or `HF_ENDPOINT`.
        endpoint: String,
    },

    /// The token contains characters that are never part of one. The message doesn't repeat the token.
    #[error(
        "the token for the Hub contains spaces or other characters that are never part of a token"
    )]
    InvalidToken,

    /// The folder of the cache is unknown: neither it nor a home folder is set.
    #[error("there is no folder for the Hub's cache: set HF_HOME")]
    NoCacheFolder,

    /// The Hub has no such repository, or hides it from this token.
    #[error("{endpoint} has no model `{id}`, or the model is private")]
    RepositoryNotFound {
        /// Name of the repository.
        id: String,
        /// Address of the Hub.
        endpoint: String,
    },

    /// The repository has no such branch, tag or commit.
    #[error("the model `{id}` has no revision `{revision}`")]
    RevisionNotFound {
        /// Name of the repository.
        id: String,
        /// Branch, tag or commit.
        revision: String,
    },

    /// The repository lacks a file that every model needs.
    #[error("the model `{id}` has no file {file} at revision `{revision}`")]
    FileNotFound {
        /// Name of the repository.
        id: String,
        /// Branch, tag or commit.
        revision: String,
        /// Missing file.
        file: String,
    },

    /// The Hub refuses the token, or requires one.
    #[error("{endpoint} denies access to the model `{id}` (HTTP status {status})")]
    Unauthorized {
        /// Name of the repository.
        id: String,
        /// Address of the Hub.
        endpoint: String,
        /// HTTP status: 401 or 403.
        status: u16,
    },

    /// The model's conditions must be accepted on its page before it can be downloaded.
    #[error("the model `{id}` is gated: accept its conditions on its page, and provide a token")]
    Gated {
        /// Name of the repository.
        id: String,
    },

    /// The Hub cannot be reached, or the connection broke.
    #[error("cannot reach {url}")]
    Network {
        /// Address, without its query.
        url: String,
        /// Error reported by the network.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The Hub responded with an unexpected status.
    #[error("{url} responded with HTTP status {status}")]
    Status {
        /// Address, without its query.
        url: String,
        /// HTTP status.
        status: u16,
    },

    /// A response is not one that a hub would send.
    #[error("the response from {url} is not what a hub would send: {reason}")]
    Response {
        /// Address, without its query.
        url: String,
        /// Part of the response that is missing or wrong.
        reason: String,
    },

    /// A file arrived incomplete or damaged, repeatedly.
    #[error("the download of {file} from the model `{id}` failed: {reason}")]
    Transfer {
        /// Name of the repository.
        id: String,
        /// File.
        file: String,
        /// Defect that was found.
        reason: String,
    },

    /// A file is not in the cache, and the Hub is not contacted in offline mode.
    #[error(
        "{file} of the model `{id}` at revision `{revision}` is not in the cache {}, and the Hub is not contacted in offline mode",
        cache.display()
    )]
    NotCached {
        /// Name of the repository.
        id: String,
        /// Branch, tag or commit.
        revision: String,
        /// First missing file.
        file: String,
        /// Folder of the cache.
        cache: PathBuf,
    },
}
