//! [`HubOptions`]: revision, token, cache and hub.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Function called as a download progresses.
pub(super) type OnProgress = Arc<dyn Fn(&DownloadProgress<'_>) + Send + Sync>;

/// Options of [`Classifier::from_pretrained_with`](crate::Classifier::from_pretrained_with). By default, the
/// environment variables of Hugging Face's tools apply; see the module [`hub`](crate::hub).
///
/// ```
/// use distilbert::hub::HubOptions;
///
/// let options = HubOptions::default().revision("v1.0").offline(true);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct HubOptions {
    pub(super) revision: Option<String>,
    pub(super) token: Option<String>,
    pub(super) cache_folder: Option<PathBuf>,
    pub(super) endpoint: Option<String>,
    pub(super) offline: Option<bool>,
    pub(super) on_progress: Option<OnProgress>,
}

impl HubOptions {
    /// Sets the branch, tag or commit; by default the branch `main`.
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Sets the token that gives access to private and gated models; by default the value of `HF_TOKEN`, or else the
    /// token that a login with Hugging Face's tools stored. An empty string means no token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the folder of the cache; by default the value of `HF_HUB_CACHE`, or else the folder `hub` in `HF_HOME`.
    pub fn cache_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_folder = Some(folder.into());
        self
    }

    /// Sets the address of the Hub, such as that of a mirror; by default the value of `HF_ENDPOINT`, or else the
    /// address of the Hugging Face Hub.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Uses only the cache, without network access; by default as set by `HF_HUB_OFFLINE`.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = Some(offline);
        self
    }

    /// Calls a function as each file arrives, on the thread that downloads it.
    ///
    /// ```
    /// use distilbert::hub::HubOptions;
    ///
    /// let options = HubOptions::default()
    ///     .on_progress(|progress| eprintln!("{}: {} bytes", progress.file, progress.received));
    /// ```
    pub fn on_progress(
        mut self,
        function: impl Fn(&DownloadProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(function));
        self
    }
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubOptions")
            .field("revision", &self.revision)
            // Tokens don't belong in logs.
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("cache_folder", &self.cache_folder)
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            .field("on_progress", &self.on_progress.is_some())
            .finish()
    }
}

/// Progress of the download of one file.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DownloadProgress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes received so far. They decrease when a broken download starts over.
    pub received: u64,
    /// Size of the file in bytes, if the Hub reports it.
    pub total: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_token() {
        let text = format!("{:?}", HubOptions::default().token("hf_secret").revision("main"));
        assert!(!text.contains("hf_secret") && text.contains("main"), "{text}");
    }
}
