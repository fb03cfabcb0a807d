//! Errors that endpoints can answer with.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::PartialSchema;
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::failure::Kind;

/// Errors of endpoints that compute.
pub struct Failures;

/// Errors of endpoints that tell about the server.
pub struct Refused;

/// Errors of endpoints that tell about a model.
pub struct NoModel;

/// Errors of health checks.
pub struct Stopping;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[
            Kind::BadRequest,
            Kind::Empty,
            Kind::Unauthorized,
            Kind::NotFound,
            Kind::RequestTimeout,
            Kind::TooLarge,
            Kind::Validation,
            Kind::Tokenizer,
            Kind::Overloaded,
            Kind::Backend,
            Kind::Unhealthy,
            Kind::Timeout,
        ])
    }
}

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[Kind::Unauthorized])
    }
}

impl IntoResponses for NoModel {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[Kind::Unauthorized, Kind::NotFound, Kind::Unhealthy])
    }
}

impl IntoResponses for Stopping {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[Kind::Unhealthy])
    }
}

/// Describes errors, which share a response if they share a status.
fn responses(kinds: &[Kind]) -> BTreeMap<String, RefOr<Response>> {
    let mut meanings = BTreeMap::<String, Vec<String>>::new();
    for kind in kinds {
        let meaning = format!("`{}`: {}", kind.name(), kind.meaning());
        meanings.entry(kind.status().as_str().to_owned()).or_default().push(meaning);
    }
    let retries = [Kind::Overloaded, Kind::Unhealthy].map(|kind| kind.status());
    let response = |(status, meanings): (String, Vec<String>)| {
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let mut response = ResponseBuilder::new()
            .description(meanings.join("\n\n"))
            .content("application/json", content);
        if retries.iter().any(|retry| retry.as_str() == status) {
            let seconds = "Seconds after which to try again";
            let header =
                HeaderBuilder::new().schema(Some(u64::schema())).description(Some(seconds));
            response = response.header("retry-after", header.build());
        }
        (status, response.build().into())
    };
    meanings.into_iter().map(response).collect()
}
