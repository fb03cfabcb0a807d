//! Endpoints, one file per protocol.

mod classify;
mod explain;
mod health;
mod inference;
mod info;
mod instances;
mod metrics;
mod models;
mod open_inference;
mod predict;
mod tokenize;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use distilbert::Prediction;
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::openapi::{self, at};
use crate::page;
use crate::parameters::{Parameters, Scored};
use crate::prediction::Predicted;

/// Returns the routes of all endpoints with their description.
pub fn routes() -> (Router<Arc<App>>, OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(page::index, predict::root))
        .routes(routes!(predict::predict))
        .routes(at("/invocations", routes!(predict::predict)))
        .routes(routes!(tokenize::tokenize))
        .routes(routes!(info::info))
        .routes(routes!(instances::vertex))
        .routes(routes!(instances::v1, models::state))
        .routes(routes!(inference::classify))
        .routes(routes!(classify::infinity))
        .routes(routes!(classify::vllm))
        .routes(routes!(explain::explain))
        .merge(open_inference_routes())
        .routes(routes!(models::list))
        .routes(at("/models", routes!(models::list)))
        .routes(routes!(health::ready))
        .routes(at("/ping", routes!(health::ready)))
        .routes(at("/v2/health/ready", routes!(health::ready)))
        .routes(routes!(health::live))
        .routes(routes!(metrics::metrics))
        .routes(routes!(page::docs))
        .routes(routes!(page::asset))
        .routes(routes!(page::openapi))
        .split_for_parts();
    openapi::complete(&mut api);
    (router, api)
}

fn open_inference_routes() -> OpenApiRouter<Arc<App>> {
    const VERSION: &str = "/v2/models/{name}/versions/{version}";
    OpenApiRouter::default()
        .routes(routes!(open_inference::server))
        .routes(routes!(open_inference::list))
        .routes(routes!(open_inference::index))
        .routes(routes!(open_inference::model))
        .routes(routes!(open_inference::model_ready))
        .routes(routes!(open_inference::infer))
        .routes(at(VERSION, routes!(open_inference::model)))
        .routes(at(&format!("{VERSION}/ready"), routes!(open_inference::model_ready)))
        .routes(at(&format!("{VERSION}/infer"), routes!(open_inference::infer)))
}

/// Returns the labels of each text with their scores, highest first.
fn rankings<'a>(predicted: &'a Predicted, parameters: &Parameters) -> Vec<Vec<Scored<'a>>> {
    let ranking = |prediction: &'a Prediction| parameters.ranking(prediction);
    predicted.predictions.iter().map(ranking).collect()
}

/// Returns a response with predictions and headers that tell their cost.
fn answered(value: &impl Serialize, predicted: &Predicted) -> Result<Response, Failure> {
    let mut response = json(value)?;
    predicted.describe(response.headers_mut());
    Ok(response)
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
