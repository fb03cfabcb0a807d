//! [`Settings`]: options, completed by the environment variables of Hugging Face's tools.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::HubOptions;
use crate::error::HubError;

/// Address of the Hugging Face Hub.
const ENDPOINT: &str = "https://huggingface.co";
/// Time to wait for a connection, for an answer and for the next bytes, as in Hugging Face's tools.
const PATIENCE: Duration = Duration::from_secs(10);

/// Settings of one request for a model.
#[derive(Debug)]
pub(super) struct Settings {
    /// Address of the Hub, without a slash at its end.
    pub endpoint: String,
    pub token: Option<String>,
    pub cache: PathBuf,
    pub offline: bool,
    /// Longest wait for the description of a model or file.
    pub answer_timeout: Duration,
    /// Longest wait for the next bytes of a file.
    pub download_timeout: Duration,
}

impl Settings {
    /// Completes options with the variables that `variable` returns. Variables that are empty count as unset.
    ///
    /// # Errors
    /// [`HubError::InvalidEndpoint`], [`HubError::InvalidToken`] or [`HubError::NoCacheFolder`].
    pub fn new(
        options: &HubOptions,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, HubError> {
        let variables = Variables(variable);
        let endpoint = options.endpoint.clone().or_else(|| variables.text("HF_ENDPOINT"));
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if origin(&endpoint).is_none() {
            return Err(HubError::InvalidEndpoint { endpoint });
        }
        let token = options.token.clone().or_else(|| variables.token());
        let token = token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(HubError::InvalidToken);
        }
        let cache = options.cache_folder.clone().or_else(|| variables.cache());
        Ok(Self {
            endpoint,
            token,
            cache: cache.ok_or(HubError::NoCacheFolder)?,
            offline: options.offline.unwrap_or_else(|| {
                variables.is_set("HF_HUB_OFFLINE") || variables.is_set("TRANSFORMERS_OFFLINE")
            }),
            answer_timeout: variables.seconds("HF_HUB_ETAG_TIMEOUT"),
            download_timeout: variables.seconds("HF_HUB_DOWNLOAD_TIMEOUT"),
        })
    }
}

/// Returns the scheme and the host of a URL.
pub(super) fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if !["http", "https"].contains(&scheme) {
        return None;
    }
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    Some(&url[..scheme.len() + "://".len() + host.len()])
}

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn value(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.into_string().ok()
    }

    /// Returns a path, with `~` at its start replaced.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.value(name)?);
        match path.strip_prefix("~") {
            Ok(rest) => Some(std::env::home_dir()?.join(rest)),
            Err(_) => Some(path),
        }
    }

    fn is_set(&self, name: &str) -> bool {
        let value = self.text(name).unwrap_or_default().to_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    }

    fn seconds(&self, name: &str) -> Duration {
        let seconds =
            self.text(name).and_then(|text| text.parse().ok()).filter(|&number| number > 0);
        seconds.map_or(PATIENCE, Duration::from_secs)
    }

    fn home(&self) -> Option<PathBuf> {
        let caches =
            || self.path("XDG_CACHE_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache")));
        self.path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")))
    }

    fn cache(&self) -> Option<PathBuf> {
        self.path("HF_HUB_CACHE")
            .or_else(|| self.path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(self.home()?.join("hub")))
    }

    fn token(&self) -> Option<String> {
        if self.is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return None;
        }
        let given = self.text("HF_TOKEN").or_else(|| self.text("HUGGING_FACE_HUB_TOKEN"));
        let stored = || {
            let path = self.path("HF_TOKEN_PATH").or_else(|| Some(self.home()?.join("token")))?;
            stored_token(&path)
        };
        given.or_else(stored).map(|token| token.trim().to_owned())
    }
}

/// Reads the token that a login stored; a missing file means that there was no login.
fn stored_token(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &HubOptions, variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        Settings::new(options, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn cache_follows_the_variables_of_hugging_face() {
        let cache =
            |variables: &[(&str, &str)]| settings(&HubOptions::default(), variables).unwrap().cache;
        assert_eq!(cache(&[("HF_HOME", "/h")]), Path::new("/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/o"), ("HF_HOME", "/h")]), Path::new("/o"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(
            cache(&[("HF_HOME", ""), ("XDG_CACHE_HOME", "/x")]),
            Path::new("/x/huggingface/hub")
        );
        if let Some(home) = std::env::home_dir() {
            assert_eq!(cache(&[]), home.join(".cache/huggingface/hub"));
            assert_eq!(cache(&[("HF_HOME", "~/models")]), home.join("models/hub"));
        }
        let options = HubOptions::default().cache_folder("/mine");
        assert_eq!(settings(&options, &[("HF_HOME", "/h")]).unwrap().cache, Path::new("/mine"));
    }

    #[test]
    fn token_comes_from_options_variable_or_file() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_str().unwrap();
        let token = |options: &HubOptions, variables: &[(&str, &str)]| {
            let variables = [&[("HF_HOME", folder)], variables].concat();
            settings(options, &variables).unwrap().token
        };
        let none = HubOptions::default();
        assert_eq!(token(&none, &[]), None);
        fs::write(home.path().join("token"), "hf_stored\n").unwrap();
        assert_eq!(token(&none, &[]).as_deref(), Some("hf_stored"));
        assert_eq!(token(&none, &[("HF_TOKEN", " hf_given ")]).as_deref(), Some("hf_given"));
        assert_eq!(token(&none, &[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(
            token(&none.clone().token("mine"), &[("HF_TOKEN", "x")]).as_deref(),
            Some("mine")
        );
        assert_eq!(token(&none.token(""), &[("HF_TOKEN", "x")]), None);
    }

    #[test]
    fn rejects_tokens_and_addresses_that_cannot_be_sent() {
        let error = settings(&HubOptions::default().token("a\r\nb"), &[]).unwrap_err();
        assert!(matches!(error, HubError::InvalidToken), "{error}");
        for endpoint in ["hub", "ftp://hub", "https://", "http:///models"] {
            let error = settings(&HubOptions::default().endpoint(endpoint), &[]).unwrap_err();
            assert!(matches!(error, HubError::InvalidEndpoint { .. }), "{endpoint}: {error}");
        }
    }

    #[test]
    fn offline_and_endpoint_follow_the_variables() {
        let found = |name, value| settings(&HubOptions::default(), &[(name, value)]).unwrap();
        for (value, offline) in [("1", true), ("true", true), ("0", false), ("no", false)] {
            assert_eq!(found("HF_HUB_OFFLINE", value).offline, offline, "{value}");
        }
        assert_eq!(found("HF_ENDPOINT", "http://mirror:80/hub/").endpoint, "http://mirror:80/hub");
        assert_eq!(found("HF_HUB_ETAG_TIMEOUT", "3").answer_timeout, Duration::from_secs(3));
        assert_eq!(found("HF_HUB_ETAG_TIMEOUT", "0").answer_timeout, PATIENCE);
    }

    #[test]
    fn origin_is_scheme_and_host() {
        assert_eq!(origin("https://hub:8080/a/b?c"), Some("https://hub:8080"));
        assert_eq!(origin("http://hub"), Some("http://hub"));
        assert_eq!(origin("/a/b"), None);
    }
}
