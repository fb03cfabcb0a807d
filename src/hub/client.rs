//! [`Client`]: requests to a hub, and the meaning of its answers.

use std::io::Read;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Response};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use super::environment::{Settings, origin};
use super::repository::{Repository, is_file_name};
use crate::error::HubError;

/// Longest description of a model, in bytes; one of 10,000 files takes 1 MB.
const MAX_DESCRIPTION: u64 = 16 << 20;
/// Longest chain of redirects.
const MAX_REDIRECTS: usize = 10;
/// Number of retries after a transient error.
pub(super) const RETRIES: u32 = 4;
/// Pause before the first retry; each later pause is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Client of one hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    answer_timeout: Duration,
    download_timeout: Duration,
}

/// Commit and files of a revision.
pub(super) struct Description {
    pub commit: String,
    pub files: Vec<String>,
}

/// Identity, size and location of a file.
pub(super) struct FileInfo {
    /// Name of the contents, which is also their name in the cache.
    pub etag: String,
    /// `true` if the entity tag is the SHA-256 of the contents.
    pub is_sha256: bool,
    pub size: Option<u64>,
    pub url: String,
}

/// An answer, and the address that gave it.
struct Answer {
    response: Response<Body>,
    url: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: &str) -> Option<&str> {
        text(self.response.headers(), name)
    }

    /// Returns the error for an answer that a hub would not send.
    fn unexpected(&self, reason: impl Into<String>) -> HubError {
        HubError::Response { url: without_query(&self.url), reason: reason.into() }
    }
}

impl Client {
    pub fn new(settings: &Settings) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, because the token must not follow them to other hosts.
            .max_redirects(0)
            .user_agent(concat!("distilbert/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(settings.answer_timeout))
            .timeout_connect(Some(settings.answer_timeout))
            .timeout_per_read(Some(settings.download_timeout));
        Self {
            agent: config.build().into(),
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            answer_timeout: settings.answer_timeout,
            download_timeout: settings.download_timeout,
        }
    }

    /// Asks for the commit and the files of a revision.
    ///
    /// # Errors
    /// Any [`HubError`] of the network, of access or of an answer.
    pub fn describe(&self, repository: &Repository) -> Result<Description, HubError> {
        let url = self.endpoint.clone() + &repository.description_path();
        let answer =
            self.send(&url, |url| self.get(url).header("accept", "application/json"), false)?;
        if answer.status() != 200 {
            return Err(self.refusal(&answer, repository, None));
        }
        let Answer { response, url } = answer;
        let limited = response.into_body().into_with_config().limit(MAX_DESCRIPTION);
        let mut bytes = Vec::new();
        limited.reader().read_to_end(&mut bytes).map_err(|error| network(&url, error))?;
        description(&bytes).map_err(|reason| HubError::Response {
            url: without_query(&url),
            reason: reason.to_owned(),
        })
    }

    /// Asks for the identity, the size and the location of a file.
    ///
    /// # Errors
    /// Any [`HubError`] of the network, of access or of an answer.
    pub fn locate(
        &self,
        repository: &Repository,
        commit: &str,
        file: &str,
    ) -> Result<FileInfo, HubError> {
        let url = self.endpoint.clone() + &repository.file_path(commit, file);
        let answer = self.send(&url, |url| self.head(url), true)?;
        let status = answer.status();
        if !(200..400).contains(&status) {
            return Err(self.refusal(&answer, repository, Some(file)));
        }
        let linked = answer.header("x-linked-etag");
        let etag = linked.or_else(|| answer.header("etag"));
        let etag = etag.ok_or_else(|| answer.unexpected("it has no ETag"))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        if !is_file_name(&etag) {
            return Err(answer.unexpected(format!("its ETag is `{etag}`")));
        }
        let length = || answer.header("content-length").filter(|_| status < 300);
        let size = answer.header("x-linked-size").or_else(length);
        let is_hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(FileInfo {
            is_sha256: linked.is_some() && etag.len() == 64 && is_hex,
            size: size.and_then(|size| size.parse().ok()),
            url: answer.header("location").map_or(Ok(answer.url.clone()), |to| {
                absolute(&answer.url, to)
                    .ok_or_else(|| answer.unexpected("its Location is not a URL"))
            })?,
            etag,
        })
    }

    /// Requests the contents of a file from byte `start`.
    ///
    /// # Errors
    /// [`HubError::Network`], or [`HubError::Status`] for anything but contents.
    pub fn contents(&self, url: &str, start: u64) -> Result<Contents, HubError> {
        let range = |url: &str| match start {
            0 => self.get(url),
            start => self.get(url).header("range", format!("bytes={start}-")),
        };
        let answer = self.send(url, range, false)?;
        let starts = |range: &str| range.starts_with(&format!("bytes {start}-"));
        let start = match answer.status() {
            200 => 0,
            206 if answer.header("content-range").is_some_and(starts) => start,
            206 => {
                return Err(answer.unexpected("it sent a different range from the one requested"));
            }
            status => return Err(HubError::Status { url: without_query(&answer.url), status }),
        };
        let body = answer.response.into_body();
        let size = body.content_length().map(|length| start + length);
        Ok(Contents { start, size, reader: Box::new(body.into_reader()) })
    }

    /// Sends a request, and follows redirects. With `stop`, an answer that describes a file is returned even if it
    /// redirects to the contents.
    fn send(
        &self,
        url: &str,
        request: impl Fn(&str) -> RequestBuilder<WithoutBody>,
        stop: bool,
    ) -> Result<Answer, HubError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = request(&url);
            if let Some(token) = self.token.as_ref().filter(|_| self.is_trusted(&url)) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| network(&url, error))?;
            let answer = Answer { response, url };
            let Some(to) =
                answer.header("location").filter(|_| answer.response.status().is_redirection())
            else {
                return Ok(answer);
            };
            let describes =
                ["x-linked-etag", "etag"].iter().any(|name| answer.header(name).is_some());
            // The Hub renames models with relative redirects, and points to contents with absolute ones.
            if stop && describes && !to.starts_with('/') {
                return Ok(answer);
            }
            url = absolute(&answer.url, to)
                .ok_or_else(|| answer.unexpected("its Location is not a URL"))?;
        }
        Err(HubError::Response {
            url: without_query(&url),
            reason: format!("it redirects more than {MAX_REDIRECTS} times"),
        })
    }

    fn get(&self, url: &str) -> RequestBuilder<WithoutBody> {
        let request = self.agent.get(url).config();
        request.timeout_recv_response(Some(self.download_timeout)).build()
    }

    fn head(&self, url: &str) -> RequestBuilder<WithoutBody> {
        let request = self.agent.head(url).config();
        request.timeout_recv_response(Some(self.answer_timeout)).build()
    }

    /// Returns `true` if a URL belongs to the Hub itself, which may see the token.
    fn is_trusted(&self, url: &str) -> bool {
        match (origin(url), origin(&self.endpoint)) {
            (Some(found), Some(expected)) => found.eq_ignore_ascii_case(expected),
            _ => false,
        }
    }

    /// Returns the meaning of an answer other than success, as Hugging Face's tools read it.
    fn refusal(&self, answer: &Answer, repository: &Repository, file: Option<&str>) -> HubError {
        let (status, code) = (answer.status(), answer.header("x-error-code").unwrap_or_default());
        let (id, revision) = (repository.id.clone(), repository.revision.clone());
        let endpoint = self.endpoint.clone();
        match (code, status, file) {
            ("GatedRepo", ..) => HubError::Gated { id },
            ("RevisionNotFound", ..) => HubError::RevisionNotFound { id, revision },
            ("RepoNotFound", ..) => HubError::RepositoryNotFound { id, endpoint },
            (_, 401 | 403, _) => HubError::Unauthorized { id, endpoint, status },
            (_, 404, Some(file)) => HubError::FileNotFound { id, revision, file: file.to_owned() },
            (_, 404, None) if revision != "main" => HubError::RevisionNotFound { id, revision },
            (_, 404, None) => HubError::RepositoryNotFound { id, endpoint },
            _ => HubError::Status { url: without_query(&answer.url), status },
        }
    }
}

/// Contents of a file that are arriving.
pub(super) struct Contents {
    /// First byte that arrives; 0 if the server ignores ranges.
    pub start: u64,
    /// Size of the whole file, as the server announces it.
    pub size: Option<u64>,
    pub reader: Box<dyn Read>,
}

/// Runs `attempt` again after transient errors, at most `retries` times.
pub(super) fn with_retries<T>(
    retries: u32,
    mut attempt: impl FnMut() -> Result<T, HubError>,
) -> Result<T, HubError> {
    let mut failures = 0;
    loop {
        match attempt() {
            Err(error) if failures < retries && may_pass(&error) => pause(failures),
            result => return result,
        }
        failures += 1;
    }
}

/// Waits after a number of failures.
pub(super) fn pause(failures: u32) {
    thread::sleep(PAUSE * 2_u32.saturating_pow(failures));
}

/// Returns `true` for transient errors, which may be gone at the next attempt.
pub(super) fn may_pass(error: &HubError) -> bool {
    match error {
        HubError::Status { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
        HubError::Transfer { .. } => true,
        HubError::Network { source, .. } => source.downcast_ref().is_none_or(is_interruption),
        _ => false,
    }
}

/// Returns `true` for errors of connections that had been established.
fn is_interruption(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, UnexpectedEof,
        WouldBlock,
    };
    use ureq::Timeout;
    match error {
        ureq::Error::Timeout(phase) => !matches!(phase, Timeout::Resolve | Timeout::Connect),
        ureq::Error::Protocol(_) => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionReset
                | Interrupted
                | TimedOut
                | UnexpectedEof
                | WouldBlock
        ),
        _ => false,
    }
}

fn network(url: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HubError {
    HubError::Network { url: without_query(url), source: error.into() }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns a URL without its query, which contains signatures.
fn without_query(url: &str) -> String {
    url.split('?').next().unwrap_or(url).to_owned()
}

/// Returns the absolute URL of a redirect.
fn absolute(from: &str, to: &str) -> Option<String> {
    if to.starts_with("//") {
        return Some(format!("{}:{to}", from.split_once(':')?.0));
    }
    if to.starts_with('/') {
        return Some(format!("{}{to}", origin(from)?));
    }
    origin(to).map(|_| to.to_owned())
}

/// Reads the description of a revision.
fn description(bytes: &[u8]) -> Result<Description, &'static str> {
    let json: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON")?;
    let commit = json["sha"].as_str().filter(|commit| is_file_name(commit));
    let files = json["siblings"].as_array().ok_or("it has no list `siblings`")?;
    let name = |file: &Value| file["rfilename"].as_str().map(str::to_owned);
    Ok(Description {
        commit: commit.ok_or("it has no commit `sha`")?.to_owned(),
        files: files.iter().filter_map(name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let from = "http://hub:80/a/b?c";
        assert_eq!(absolute(from, "/x?y").as_deref(), Some("http://hub:80/x?y"));
        assert_eq!(absolute(from, "//cdn/x").as_deref(), Some("http://cdn/x"));
        assert_eq!(absolute(from, "https://cdn/x").as_deref(), Some("https://cdn/x"));
        assert_eq!(absolute(from, "file:///etc/passwd"), None);
        assert_eq!(absolute(from, "x"), None);
    }

    #[test]
    fn description_must_name_a_commit_and_files() {
        let found = description(br#"{"sha": "ab", "siblings": [{"rfilename": "x"}, {}]}"#).unwrap();
        assert_eq!((found.commit.as_str(), found.files), ("ab", vec!["x".to_owned()]));
        for text in ["<html>", "[]", r#"{"sha": "../x", "siblings": []}"#, r#"{"sha": "ab"}"#] {
            assert!(description(text.as_bytes()).is_err(), "{text}");
        }
    }
}
