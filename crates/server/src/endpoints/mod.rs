//! Endpoints, one file per protocol.

mod explain;
mod health;
mod inference;
mod info;
mod metrics;
mod open_inference;
mod predict;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use distilbert::Prediction;
use serde::Serialize;

use crate::app::App;
use crate::failure::{Failure, Kind};

/// Returns the routes of all endpoints.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", post(predict::predict))
        .route("/predict", post(predict::predict))
        .route("/invocations", post(predict::predict))
        .route("/vertex", post(predict::vertex))
        .route("/explain", post(explain::explain))
        .route("/info", get(info::info))
        .route("/health", get(health::ready))
        .route("/ping", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/models/{name}", post(inference::classify))
        .route("/v1/models/{name}", post(predict::v1))
        .route("/v2", get(open_inference::server))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .route("/v2/models/{name}", get(open_inference::model))
        .route("/v2/models/{name}/ready", get(open_inference::model_ready))
        .route("/v2/models/{name}/infer", post(open_inference::infer))
        .route("/v2/models/{name}/versions/{version}", get(open_inference::model))
        .route("/v2/models/{name}/versions/{version}/ready", get(open_inference::model_ready))
        .route("/v2/models/{name}/versions/{version}/infer", post(open_inference::infer))
}

/// A label with its score, or with its logit where raw scores are requested.
#[derive(Serialize)]
struct Scored<'a> {
    score: f32,
    label: &'a str,
}

/// Returns the labels with their values, highest first; equal values stay in label order.
fn ranked<'a>(labels: &'a [String], values: &[f32]) -> Vec<Scored<'a>> {
    let pairs = labels.iter().zip(values);
    let mut ranking: Vec<_> = pairs.map(|(label, &score)| Scored { score, label }).collect();
    ranking.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranking
}

/// Returns the labels of a prediction with their scores or logits, highest first.
fn ranking(prediction: &Prediction, is_raw: bool) -> Vec<Scored<'_>> {
    let values = if is_raw { prediction.logits() } else { prediction.scores() };
    ranked(prediction.labels(), values)
}

/// Returns a response with a JSON body.
fn json(value: &impl Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_vec(value)
        .map_err(|error| Failure::new(Kind::Backend, error.to_string()))?;
    Ok(typed(Body::from(body), "application/json"))
}

fn typed(body: Body, content_type: &'static str) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
