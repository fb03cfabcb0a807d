//! The page for people at `/`, the reference of the API at `/docs`, and their files.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use distilbert_report::style;

use crate::endpoints;
use crate::failure::{Failure, Kind};

/// Forbids everything that does not come from this server, scripts and styles within the page, and frames around it.
const POLICY: &str = "\
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// A file that is part of the program.
struct File {
    content_type: &'static str,
    content: Bytes,
    /// Tag of the content, by which clients know that their copy is current.
    tag: HeaderValue,
}

static INDEX: LazyLock<File> = LazyLock::new(|| File::new(HTML, include_str!("index.html")));
static DOCS: LazyLock<File> = LazyLock::new(|| File::new(HTML, include_str!("docs.html")));
static OPENAPI: LazyLock<File> = LazyLock::new(|| {
    let (_, api) = endpoints::routes();
    File::new("application/json", serde_json::to_vec(&api).unwrap_or_default())
});

static ASSETS: LazyLock<[(&str, File); 6]> = LazyLock::new(|| {
    // The colors and the pictures of the explanation page.
    let styles = [style::PICTURES, style::PAGE, style::TEXT, include_str!("page.css")].concat();
    [
        ("page.css", File::new("text/css; charset=utf-8", styles)),
        ("page.js", File::new(JAVASCRIPT, include_str!("page.js"))),
        ("client.js", File::new(JAVASCRIPT, include_str!("client.js"))),
        ("drawing.js", File::new(JAVASCRIPT, include_str!("drawing.js"))),
        ("docs.js", File::new(JAVASCRIPT, include_str!("docs.js"))),
        ("icon.svg", File::new("image/svg+xml", include_str!("icon.svg"))),
    ]
});

impl File {
    fn new(content_type: &'static str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let mut hasher = DefaultHasher::new();
        hasher.write(&content);
        let tag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()))
            .unwrap_or(HeaderValue::from_static("\"0\""));
        Self { content_type, content, tag }
    }

    /// Returns the file, or only its tag if the client has it already.
    fn response(&self, request: &HeaderMap) -> Response {
        let is_current = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .any(|tag| {
                let tag = tag.trim();
                tag == "*"
                    || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes()
            });
        let body = if is_current { Body::empty() } else { Body::from(self.content.clone()) };
        let mut response = Response::new(body);
        if is_current {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (header::ETAG, self.tag.clone()),
            // A copy may be kept, but a new version of the server has other files.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        response.headers_mut().extend(headers);
        response
    }
}

/// A page for trying out the models
///
/// Type a text, and see the probabilities and the words behind them.
#[utoipa::path(
    get, path = "/", tag = "Server", security(()),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
pub async fn index(headers: HeaderMap) -> Response {
    INDEX.response(&headers)
}

/// The API reference
#[utoipa::path(
    get, path = "/docs", tag = "Server", security(()),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
pub async fn docs(headers: HeaderMap) -> Response {
    DOCS.response(&headers)
}

/// The description of this API, OpenAPI 3.1
#[utoipa::path(
    get, path = "/openapi.json", tag = "Server", security(()),
    responses((status = 200, description = "The description", content_type = "application/json")),
)]
pub async fn openapi(headers: HeaderMap) -> Response {
    OPENAPI.response(&headers)
}

/// Scripts, styles and the icon of the pages
#[utoipa::path(
    get, path = "/assets/{name}", tag = "Server", security(()),
    params(("name" = String, Path, description = "Name of the file")),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/plain"),
        (status = 404, description = "There is no such file", body = crate::failure::ErrorBody),
    ),
)]
pub async fn asset(headers: HeaderMap, Path(name): Path<String>) -> Result<Response, Failure> {
    match ASSETS.iter().find(|(known, _)| *known == name) {
        Some((_, file)) => Ok(file.response(&headers)),
        None => Err(Failure::new(Kind::NotFound, "there is no such file")),
    }
}
