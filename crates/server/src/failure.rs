//! [`Failure`]: a response that is an error.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use distilbert::{BatcherError, Error, ExplainError, InputError};
use serde::Serialize;
use utoipa::ToSchema;

/// Kinds of failures; the names are the stable codes of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    Empty,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    Validation,
    Tokenizer,
    Overloaded,
    Backend,
    Unhealthy,
    Timeout,
}

impl Kind {
    /// Says what the kind means, for the description of the API.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::BadRequest => "the JSON is not as expected; the message names the field",
            Self::Empty => "there is no text",
            Self::Unauthorized => "the key is missing or wrong",
            Self::NotFound => "there is no such path, model or version",
            Self::MethodNotAllowed => "the path does not support the method",
            Self::RequestTimeout => "the body did not arrive in time",
            Self::TooLarge => {
                "the body has too many bytes, or a text too many tokens for the queue"
            }
            Self::Validation => {
                "a text is too long and `truncate` is false, texts come in pairs, or there are too many texts or JSON values"
            }
            Self::Tokenizer => "the tokenizer failed on a text",
            Self::Overloaded => "the server is busy; try again after the time in `retry-after`",
            Self::Backend => "the computation failed",
            Self::Unhealthy => "the server is being stopped",
            Self::Timeout => "the request was not answered in time",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Empty => "Empty",
            Self::Unauthorized => "Unauthorized",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::RequestTimeout => "RequestTimeout",
            Self::TooLarge => "TooLarge",
            Self::Validation => "Validation",
            Self::Tokenizer => "Tokenizer",
            Self::Overloaded => "Overloaded",
            Self::Backend => "Backend",
            Self::Unhealthy => "Unhealthy",
            Self::Timeout => "Timeout",
        }
    }

    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::Empty => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Validation | Self::Tokenizer => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Backend => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// An error that is reported to a client.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Returns the failure with the name of the field at fault.
    pub fn about(self, field: &str) -> Self {
        Self { message: format!("{field}: {}", self.message), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Input(InputError::Encode(_)) => Kind::Tokenizer,
            Error::Input(_) => Kind::Validation,
            Error::Explain(ExplainError::NoBackwardPass { .. }) => Kind::Validation,
            Error::Explain(_) => Kind::BadRequest,
            Error::Batcher(BatcherError::Overloaded { .. }) => Kind::Overloaded,
            Error::Batcher(BatcherError::TooLarge { .. }) => Kind::TooLarge,
            Error::Batcher(BatcherError::Expired { .. }) => Kind::Timeout,
            Error::Batcher(BatcherError::ShutDown) => Kind::Unhealthy,
            _ => Kind::Backend,
        };
        let message = match &error {
            Error::Input(InputError::TooManyTokens { tokens, limit, .. }) => {
                format!("has {tokens} tokens, but the model takes at most {limit}")
            }
            Error::Input(InputError::TextTooLong { limit, .. }) => {
                format!("has more than {limit} tokens, but the model takes at most {limit}")
            }
            error => error.to_string(),
        };
        Self::new(kind, message)
    }
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"error": "inputs[3]: expected a string, found a number", "error_type": "BadRequest"}))]
pub struct ErrorBody {
    /// Description of the problem, beginning with the field at fault.
    error: String,
    /// Stable code of the kind of error.
    error_type: &'static str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.message, error_type: self.kind.name() };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.kind {
            Kind::Overloaded | Kind::Unhealthy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Kind::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // The rest of the body is not read.
            Kind::TooLarge | Kind::RequestTimeout => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self.kind);
        response
    }
}
