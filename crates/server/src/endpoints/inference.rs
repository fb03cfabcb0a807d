//! `POST /models/{name}`: text classification of Hugging Face's inference API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;

use super::{answered, rankings};
use crate::app::App;
use crate::failure::Failure;
use crate::fields::{Fields, texts};
use crate::openapi::{Failures, PredictBody};
use crate::parameters::{Parameters, Scored};
use crate::prediction::{PredictRequest, predict_all};

/// Classifies with a model
///
/// Speaks the protocol of Hugging Face's inference API. The answer is a list of lists, even for one text:
/// `InferenceClient.text_classification` takes the first.
#[utoipa::path(
    post, path = "/models/{name}", operation_id = "inference_api", tag = "Hugging Face",
    params(("name" = String, Path, description = "Name of the model")),
    request_body = PredictBody,
    responses(
        (status = 200, description = "Labels with their scores, for each text", body = Vec<Vec<Scored>>),
        Failures,
    ),
)]
pub async fn classify(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    app.model(&name)?;
    let fields = app.fields(body).await?;
    answer(&app, Some(&name), fields).await
}

pub async fn answer(
    app: &App,
    model: Option<&str>,
    mut fields: Fields,
) -> Result<Response, Failure> {
    let model = app.model_or_first(model)?;
    let texts = texts("inputs", fields.require("inputs")?)?;
    let parameters = Parameters::read(&mut fields)?;
    let request = PredictRequest::new("inputs", texts, &parameters);
    let predicted = predict_all(app, model, request).await?;
    answered(&rankings(&predicted, &parameters), &predicted)
}
