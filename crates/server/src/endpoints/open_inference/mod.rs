//! KServe's Open Inference Protocol v2 over REST, with Triton's extension for binary tensors.

mod binary;
mod input;
mod output;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use self::output::{Output, Tensor};
use super::{health, json};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::Fields;
use crate::model::Model;
use crate::offload;
use crate::openapi::{Failures, InferBody, NoModel, Refused};
use crate::parameters::Parameters;
use crate::prediction::{PredictRequest, predict_all};

/// The only version of each model.
const VERSION: &str = "1";

/// Parameters of a path, `name` and perhaps `version`.
type Parts = Path<HashMap<String, String>>;

/// Description of the server.
#[derive(Serialize, ToSchema)]
pub struct ServerDescription<'a> {
    /// `distilbert`.
    name: &'a str,
    /// Version of the server.
    version: &'a str,
    /// Extensions of the protocol.
    extensions: Vec<&'a str>,
}

/// Description of a model.
#[derive(Serialize, ToSchema)]
pub struct ModelDescription<'a> {
    /// Name of the model.
    name: &'a str,
    /// `["1"]`.
    versions: Vec<&'a str>,
    /// `distilbert`.
    platform: &'a str,
    /// The only input.
    inputs: Vec<TensorDescription<'a>>,
    outputs: Vec<TensorDescription<'a>>,
    parameters: ModelParameters<'a>,
}

/// Further facts about a model.
#[derive(Serialize, ToSchema)]
pub struct ModelParameters<'a> {
    /// Labels, in the order of scores.
    labels: &'a [String],
    /// Precision of the weights, such as `f32` or `int8`.
    precision: &'a str,
    /// Maximum number of tokens.
    max_tokens: usize,
}

/// Description of a tensor.
#[derive(Serialize, ToSchema)]
pub struct TensorDescription<'a> {
    name: &'a str,
    datatype: &'a str,
    /// Sizes; -1 for the number of texts.
    shape: Vec<i64>,
}

/// Names of the models.
#[derive(Serialize, ToSchema)]
pub struct ModelNames<'a> {
    models: Vec<&'a str>,
}

/// Model in Triton's index.
#[derive(Serialize, ToSchema)]
pub struct IndexEntry<'a> {
    /// Name of the model.
    name: &'a str,
    /// `1`.
    version: &'a str,
    /// `READY`.
    state: &'a str,
    /// Empty.
    reason: &'a str,
}

/// Predictions as tensors.
#[derive(Serialize, ToSchema)]
pub struct Inference<'a> {
    /// Name of the model.
    model_name: &'a str,
    /// `1`.
    model_version: &'a str,
    /// Id that the request has, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    outputs: Vec<Tensor<'a>>,
}

/// Describes the server
#[utoipa::path(
    get, path = "/v2", operation_id = "v2_server", tag = "Open Inference Protocol v2",
    responses((status = 200, description = "Description of the server", body = ServerDescription), Refused),
)]
pub async fn server() -> Result<Response, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    json(&ServerDescription { name: "distilbert", version, extensions: vec!["binary_tensor_data"] })
}

/// Lists the models
#[utoipa::path(
    get, path = "/v2/models", operation_id = "v2_models", tag = "Open Inference Protocol v2",
    responses((status = 200, description = "Names of the models", body = ModelNames), Refused),
)]
pub async fn list(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    json(&ModelNames { models: app.models.iter().map(|model| model.name()).collect() })
}

/// Lists the models in the shape of Triton's repository index
#[utoipa::path(
    post, path = "/v2/repository/index", operation_id = "v2_index", tag = "Open Inference Protocol v2",
    responses((status = 200, description = "The models", body = Vec<IndexEntry>), Refused),
)]
pub async fn index(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let entry = |model| IndexEntry { name: model, version: VERSION, state: "READY", reason: "" };
    let models = app.models.iter().map(|model| entry(model.name()));
    json(&models.collect::<Vec<_>>())
}

/// Describes a model
#[utoipa::path(
    get, path = "/v2/models/{name}", operation_id = "v2_model", tag = "Open Inference Protocol v2",
    params(("name" = String, Path, description = "Name of the model")),
    responses((status = 200, description = "Description of the model", body = ModelDescription), NoModel),
)]
pub async fn model(State(app): State<Arc<App>>, Path(parts): Parts) -> Result<Response, Failure> {
    let model = find(&app, &parts)?;
    let classifier = model.classifier();
    let columns = i64::try_from(classifier.labels().len()).unwrap_or(-1);
    let outputs = Output::ALL.iter().map(|output| TensorDescription {
        name: output.name(),
        datatype: output.datatype(),
        shape: if output.is_matrix() { vec![-1, columns] } else { vec![-1] },
    });
    json(&ModelDescription {
        name: model.name(),
        versions: vec![VERSION],
        platform: "distilbert",
        inputs: vec![TensorDescription { name: "text", datatype: "BYTES", shape: vec![-1] }],
        outputs: outputs.collect(),
        parameters: ModelParameters {
            labels: classifier.labels(),
            precision: classifier.info().precision.name(),
            max_tokens: classifier.max_tokens(),
        },
    })
}

/// Reports that a model accepts requests
#[utoipa::path(
    get, path = "/v2/models/{name}/ready", operation_id = "v2_ready", tag = "Open Inference Protocol v2",
    params(("name" = String, Path, description = "Name of the model")),
    responses((status = 200, description = "The model accepts requests", body = super::models::ModelState), NoModel),
)]
pub async fn model_ready(
    State(app): State<Arc<App>>,
    Path(parts): Parts,
) -> Result<Response, Failure> {
    let model = find(&app, &parts)?;
    health::check(&app)?;
    json(&super::models::ModelState::ready(model.name()))
}

/// Classifies the texts of a BYTES tensor
///
/// The tensor has the shape `[n]` or `[n, 1]`. The outputs are `label`, `index` and `scores`, or those that the request
/// names, which may include `logits`. With `top_k`, each has the shape `[n, top_k]`, highest score first. Binary tensors
/// are accepted and returned as in Triton.
#[utoipa::path(
    post, path = "/v2/models/{name}/infer", operation_id = "v2_infer", tag = "Open Inference Protocol v2",
    params(("name" = String, Path, description = "Name of the model")),
    request_body(content(
        (InferBody = "application/json"),
        (String = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "Predictions as tensors", content(
            (Inference = "application/json"),
            (String = "application/octet-stream"),
        )),
        Failures,
    ),
)]
pub async fn infer(
    State(app): State<Arc<App>>,
    Path(parts): Parts,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let model = find(&app, &parts)?;
    let body = app.read(body).await?;
    let (len, max_texts) = (body.bytes.len(), app.settings.max_texts);
    let parse = move || {
        let (header, _) = binary::split(&headers, &body.bytes)?;
        Ok((Fields::parse(header, max_texts)?, header.len(), body))
    };
    let (mut fields, header_len, body) = offload::run(len, parse).await?;
    let binary = &body.bytes[header_len..];
    let id = fields.string("id")?;
    let outer = Parameters::default().overridden_by(&mut fields)?;
    let mut inner = fields.object("parameters")?;
    let parameters = outer.overridden_by(&mut inner)?;
    let is_binary = inner.flag("binary_data_output")?.unwrap_or(false);
    let outputs = output::requested(&mut fields, is_binary)?;
    let texts = input::read(&mut fields, binary, max_texts)?;
    let request = PredictRequest::new(input::FIELD, texts, &parameters);
    let predicted = predict_all(&app, model, request).await?;
    let mut tail = Vec::new();
    let outputs = outputs.into_iter().map(|(output, is_binary)| {
        let tensor = output.tensor(&predicted.predictions, &parameters);
        if is_binary { tensor.into_binary(&mut tail) } else { tensor }
    });
    let outputs = outputs.collect();
    let inference = Inference { model_name: model.name(), model_version: VERSION, id, outputs };
    let mut response = binary::joined(&inference, tail)?;
    predicted.describe(response.headers_mut());
    Ok(response)
}

fn find<'a>(app: &'a App, parts: &HashMap<String, String>) -> Result<&'a Arc<Model>, Failure> {
    match parts.get("version").map(String::as_str) {
        None | Some(VERSION) => app.model(parts.get("name").map_or("", String::as_str)),
        Some(_) => {
            let message = format!("the only version of each model is {VERSION}");
            Err(Failure::new(Kind::NotFound, message))
        }
    }
}
