//! Models from the Hugging Face Hub, by name.
//!
//! [`Classifier::from_pretrained`] downloads what a model needs and nothing else: `config.json`, one set of weights
//! (`model.safetensors` where there is one), and the tokenizer's files. They go to the cache that Hugging Face's tools
//! for Python use, in the same layout: each finds what the other downloaded.
//!
//! ```no_run
//! # #[cfg(feature = "text")] {
//! use distilbert::Classifier;
//!
//! let classifier = Classifier::from_pretrained("org/name")?.build()?;
//! println!("{}", classifier.classify("Nice.")?.label());
//! # }
//! # Ok::<(), distilbert::Error>(())
//! ```
//!
//! # Environment
//!
//! [`HubOptions`] take precedence over these variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `HF_HOME` | folder of the cache and the token; by default `~/.cache/huggingface` |
//! | `HF_HUB_CACHE` | folder of the cache; by default `hub` in `HF_HOME` |
//! | `HF_TOKEN` | token; by default the one in the file `token` in `HF_HOME`, or in `HF_TOKEN_PATH` |
//! | `HF_HUB_OFFLINE` | `1`: use only the cache |
//! | `HF_ENDPOINT` | address of the Hub, such as that of a mirror |
//! | `HF_HUB_ETAG_TIMEOUT`, `HF_HUB_DOWNLOAD_TIMEOUT` | longest wait for data from the Hub, in seconds; by default 10 |
//!
//! # Freshness and failures
//!
//! Each call asks the Hub for the revision's commit, unless the revision is a commit and its files are in the cache.
//! If the Hub can't be reached or refuses access, and the cache has all files of the revision, they are used, as in
//! Hugging Face's tools; only a revision that no longer exists is an error. In offline mode nothing is sent.
//!
//! Interrupted transfers are resumed, and transient errors are retried a few times. A file's size is checked, and its
//! SHA-256 where the Hub provides it. A file gets its name in the cache only when it is complete, so any number of
//! processes can share a cache, and any of them can be killed. The token is sent to the Hub, not to the hosts to
//! which the Hub redirects downloads.

mod cache;
mod client;
mod download;
mod environment;
mod files;
mod options;
mod repository;

use std::path::{Path, PathBuf};

use self::cache::Cache;
use self::client::{Client, RETRIES, with_retries};
use self::download::Download;
use self::environment::Settings;
use self::files::Choice;
pub use self::options::{DownloadProgress, HubOptions};
use self::repository::Repository;
use crate::classifier::{Classifier, ClassifierBuilder};
use crate::error::{CheckpointError, HubError, Result};
use crate::model::checkpoint::shard_names;
use crate::model::files::ModelFiles;

impl Classifier {
    /// Starts building a classifier from a model on the Hugging Face Hub, such as `org/name`. If there is a folder at
    /// that path, it is used instead.
    ///
    /// ```no_run
    /// use distilbert::{Classifier, Precision};
    ///
    /// let classifier = Classifier::from_pretrained("org/name")?.precision(Precision::Int8).build()?;
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like [`hub::locate`](locate).
    pub fn from_pretrained(model: impl AsRef<Path>) -> Result<ClassifierBuilder> {
        Self::from_pretrained_with(model, &HubOptions::default())
    }

    /// Starts building a classifier like [`from_pretrained`](Self::from_pretrained), with options such as the revision.
    ///
    /// ```no_run
    /// use distilbert::Classifier;
    /// use distilbert::hub::HubOptions;
    ///
    /// let options = HubOptions::default().revision("v1.0");
    /// let classifier = Classifier::from_pretrained_with("org/name", &options)?.build()?;
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like [`hub::locate`](locate).
    pub fn from_pretrained_with(
        model: impl AsRef<Path>,
        options: &HubOptions,
    ) -> Result<ClassifierBuilder> {
        locate(model, options).map(Self::builder)
    }
}

/// Returns the folder of a model: the given path if it exists, or else that of the model with this name on the Hub,
/// which is downloaded if necessary.
///
/// # Errors
/// [`CheckpointError::NoModel`] for a path that neither exists nor is UTF-8; otherwise fails like
/// [`snapshot_download`].
pub fn locate(model: impl AsRef<Path>, options: &HubOptions) -> Result<PathBuf> {
    let path = model.as_ref();
    if path.exists() {
        return Ok(path.to_owned());
    }
    let id = path.to_str().ok_or_else(|| CheckpointError::NoModel { path: path.to_owned() })?;
    snapshot_download(id, options)
}

/// Downloads the files that a model needs, unless they are in the cache, and returns the folder in the cache.
///
/// # Errors
/// - [`Error::Hub`](crate::Error::Hub) if the name or an option is invalid, if the model, the revision or a file doesn't
///   exist, if access is denied, if the network fails, or if a file is not in the cache in offline mode
/// - [`Error::Io`](crate::Error::Io) if the cache cannot be written
/// - [`Error::Config`](crate::Error::Config) if the index of the weights' shards is invalid
pub fn snapshot_download(id: &str, options: &HubOptions) -> Result<PathBuf> {
    let repository = Repository::new(id, options.revision.as_deref().unwrap_or("main"))?;
    let settings = Settings::new(options, |name| std::env::var_os(name))?;
    let cache = Cache::new(&settings.cache, &repository);
    let cached = cached(&cache, &repository, &settings);
    if settings.offline || (repository.is_commit() && cached.is_ok()) {
        return cached;
    }
    let client = Client::new(&settings);
    // With everything in the cache, there is no need to retry.
    let retries = if cached.is_ok() { 0 } else { RETRIES };
    let description = match with_retries(retries, || client.describe(&repository)) {
        Ok(description) => description,
        Err(error @ HubError::RevisionNotFound { .. }) => return Err(error.into()),
        Err(error) => return cached.or(Err(error.into())),
    };
    let choice = Choice::new(|name| description.files.iter().any(|file| file == name));
    let choice = choice.map_err(|file| HubError::FileNotFound {
        id: repository.id.clone(),
        revision: repository.revision.clone(),
        file: file.to_owned(),
    })?;
    let commit = &description.commit;
    let download = Download {
        client: &client,
        cache: &cache,
        repository: &repository,
        commit,
        on_progress: options.on_progress.as_ref(),
    };
    choice.settings.iter().try_for_each(|file| download.fetch(file))?;
    download.fetch(choice.weights)?;
    let folder = cache.snapshot(commit);
    if choice.is_sharded() {
        let names = shard_names(&ModelFiles::Folder(folder.clone()), choice.weights)?;
        names.iter().try_for_each(|file| download.fetch(file))?;
    }
    // Only now, because the previous commit serves offline use until all files are there.
    cache.set_commit(&repository, commit)?;
    Ok(folder)
}

/// Returns the folder of a revision if the cache has all files that the model needs.
///
/// # Errors
/// [`HubError::NotCached`] with the name of the first missing file, and
/// [`Error::Config`](crate::Error::Config) if the index of the weights' shards is invalid.
fn cached(cache: &Cache, repository: &Repository, settings: &Settings) -> Result<PathBuf> {
    let missing = |file: &str| HubError::NotCached {
        id: repository.id.clone(),
        revision: repository.revision.clone(),
        file: file.to_owned(),
        cache: settings.cache.clone(),
    };
    let folder = cache.commit(repository).map(|commit| cache.snapshot(&commit));
    let folder = folder.unwrap_or_default();
    // The empty path of a revision that was never downloaded has no files.
    let exists = |file: &str| !folder.as_os_str().is_empty() && folder.join(file).exists();
    let choice = Choice::new(exists).map_err(missing)?;
    if choice.is_sharded() {
        let shards = shard_names(&ModelFiles::Folder(folder.clone()), choice.weights)?;
        if let Some(shard) = shards.iter().find(|shard| !exists(shard)) {
            return Err(missing(shard).into());
        }
    }
    Ok(folder)
}
