//! Lists of the models, in the shapes of OpenAI's clients and of KServe.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{health, json};
use crate::app::App;
use crate::failure::Failure;
use crate::openapi::{NoModel, Refused};

/// Models of the server.
#[derive(Serialize, ToSchema)]
pub struct ModelList<'a> {
    /// `list`.
    object: &'static str,
    /// Models in the shape of OpenAI's clients.
    data: Vec<ListedModel<'a>>,
    /// Names of the models.
    models: Vec<&'a str>,
}

/// A model of the server.
#[derive(Serialize, ToSchema)]
pub struct ListedModel<'a> {
    /// Name of the model.
    id: &'a str,
    /// `model`.
    object: &'static str,
    /// `distilbert`.
    owned_by: &'static str,
    /// Time in seconds since 1970 at which the server was started.
    created: u64,
}

/// State of a model.
#[derive(Serialize, ToSchema)]
pub struct ModelState<'a> {
    /// Name of the model.
    name: &'a str,
    /// `true` if the model accepts requests.
    ready: bool,
}

impl<'a> ModelState<'a> {
    pub fn ready(name: &'a str) -> Self {
        Self { name, ready: true }
    }
}

/// Lists the models
#[utoipa::path(
    get, path = "/v1/models", tag = "Server",
    responses((status = 200, description = "The models", body = ModelList), Refused),
)]
pub async fn list(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let models: Vec<&str> = app.models.iter().map(|model| model.name()).collect();
    let created = app.started();
    let data = models.iter().map(|&id| ListedModel {
        id,
        object: "model",
        owned_by: "distilbert",
        created,
    });
    json(&ModelList { object: "list", data: data.collect(), models: models.clone() })
}

/// Reports that a model accepts requests
#[utoipa::path(
    get, path = "/v1/models/{name}", operation_id = "v1_model", tag = "Vertex AI and KServe v1",
    params(("name" = String, Path, description = "Name of the model")),
    responses((status = 200, description = "State of the model", body = ModelState), NoModel),
)]
pub async fn state(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let model = app.model(&name)?;
    health::check(&app)?;
    json(&ModelState::ready(model.name()))
}
