//! [`App`]: the state that requests share, and the middleware around each of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::bodies::{Answers, Bodies, Received};
use crate::endpoints;
use crate::failure::{Failure, Kind};
use crate::fields::Fields;
use crate::meters::Meters;
use crate::model::Model;
use crate::offload;
use crate::settings::Settings;

/// State that requests share, until a reload replaces it with one that has other models.
pub struct App {
    /// At least one; the first answers requests that name no model.
    pub models: Vec<Arc<Model>>,
    pub settings: Settings,
    pub meters: Arc<Meters>,
    bodies: Arc<Bodies>,
    /// Memory of the texts that are answered with their tokens.
    pub tokenized: Arc<Answers>,
    /// The turn of the explanation that is being computed.
    pub explaining: Arc<Semaphore>,
    /// `false` while the server is being stopped.
    pub is_ready: Arc<AtomicBool>,
    /// Start of the ids of requests.
    origin: u64,
    requests: Arc<AtomicU64>,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is accepted from a client.
const MAX_REQUEST_ID: usize = 128;

/// Paths that need no key to be read: health, metrics, and the pages, which contain nothing of the models.
const OPEN: &[&str] = &[
    "/health",
    "/ping",
    "/metrics",
    "/v2/health/live",
    "/v2/health/ready",
    "/",
    "/docs",
    "/openapi.json",
    "/assets/{name}",
];

/// Id of a request, which its response repeats.
#[derive(Clone)]
pub struct RequestId(HeaderValue);

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_str().unwrap_or_default())
    }
}

impl App {
    pub fn new(models: Vec<Arc<Model>>, settings: Settings) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            models,
            bodies: Arc::new(Bodies::new(&settings)),
            tokenized: Arc::new(Answers::new(&settings)),
            settings,
            meters: Arc::default(),
            explaining: Arc::new(Semaphore::new(1)),
            is_ready: Arc::new(AtomicBool::new(true)),
            origin: now.as_micros() as u64,
            requests: Arc::default(),
        }
    }

    /// Returns the state with other models.
    pub fn with_models(&self, models: Vec<Arc<Model>>) -> Self {
        Self {
            models,
            settings: self.settings.clone(),
            meters: self.meters.clone(),
            bodies: self.bodies.clone(),
            tokenized: self.tokenized.clone(),
            explaining: self.explaining.clone(),
            is_ready: self.is_ready.clone(),
            origin: self.origin,
            requests: self.requests.clone(),
        }
    }

    /// Returns the model with a name.
    pub fn model(&self, name: &str) -> Result<&Arc<Model>, Failure> {
        self.models.iter().find(|model| model.name() == name).ok_or_else(|| {
            let names: Vec<&str> = self.models.iter().map(|model| model.name()).collect();
            let message =
                format!("there is no model `{name}`; this server has {}", names.join(", "));
            Failure::new(Kind::NotFound, message)
        })
    }

    /// Returns the model of a name, or the first without one.
    pub fn model_or_first(&self, name: Option<&str>) -> Result<&Arc<Model>, Failure> {
        name.map_or(Ok(&self.models[0]), |name| self.model(name))
    }

    /// Returns the time at which the server was started, in seconds since 1970.
    pub fn started(&self) -> u64 {
        self.origin / 1_000_000
    }

    /// Reads a whole body, within the limits on its size and time.
    pub async fn read(&self, body: Body) -> Result<Received, Failure> {
        self.bodies.read(body).await
    }

    /// Reads a whole body and parses it as JSON.
    pub async fn fields(&self, body: Body) -> Result<Fields, Failure> {
        let Received { bytes, reservation } = self.read(body).await?;
        let (len, max_texts) = (bytes.len(), self.settings.max_texts);
        let parse = move || Ok(Fields::parse(&bytes, max_texts)?.holding(reservation));
        offload::run(len, parse).await
    }

    fn is_allowed(&self, method: &Method, route: &str, headers: &HeaderMap) -> bool {
        let Some(key) = &self.settings.api_key else { return true };
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let is_open = OPEN.contains(&route) && [Method::GET, Method::HEAD].contains(method);
        is_open
            || given
                .and_then(|given| given.strip_prefix(b"Bearer "))
                .is_some_and(|given| given.ct_eq(key.as_bytes()).into())
    }

    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let given = headers.get(REQUEST_ID).filter(|given| {
            given.len() <= MAX_REQUEST_ID && given.as_bytes().iter().all(u8::is_ascii_graphic)
        });
        RequestId(given.cloned().unwrap_or_else(|| {
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            HeaderValue::try_from(format!("{:x}-{number:x}", self.origin))
                .unwrap_or(HeaderValue::from_static("none"))
        }))
    }
}

/// Returns the service of all endpoints.
pub fn router(app: Arc<App>) -> Router {
    let (routes, _) = endpoints::routes();
    routes
        .fallback(|| async { Failure::new(Kind::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(Kind::MethodNotAllowed, "this path does not support this method")
        })
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Checks the key, and logs and measures a request. None of its text is logged.
async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = app.request_id(request.headers());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let mut response = match app.is_allowed(&method, route, request.headers()) {
        true => next.run(request).await,
        false => Failure::new(Kind::Unauthorized, "a valid key is required").into_response(),
    };
    let (status, duration) = (response.status().as_u16(), start.elapsed());
    let failure = response.extensions().get::<Kind>().copied();
    if method == Method::POST {
        app.meters.ended(failure, duration);
    }
    tracing::info!(
        %id,
        method = method.as_str(),
        route,
        status,
        error = failure.map_or("", Kind::name),
        milliseconds = duration.as_secs_f64() * 1e3,
    );
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.0);
    if method == Method::GET && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
