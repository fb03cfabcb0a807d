//! `POST /predict` of text-embeddings-inference.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{answered, inference, instances, rankings};
use crate::app::App;
use crate::failure::Failure;
use crate::fields::{Fields, texts};
use crate::openapi::{Failures, PredictBody};
use crate::parameters::{Parameters, Scored};
use crate::prediction::{PredictRequest, predict_all};

/// Labels of one text, or of each of several texts; highest score first.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!([{"score": 0.93, "label": "surprise"}, {"score": 0.04, "label": "joy"}]))]
pub enum Answer<'a> {
    /// Labels of a text that is not in a list.
    One(Vec<Scored<'a>>),
    /// Labels of each text of a list.
    Several(Vec<Vec<Scored<'a>>>),
}

impl<'a> Answer<'a> {
    /// Takes the only list of a text that is not in a list.
    pub fn new(mut lists: Vec<Vec<Scored<'a>>>, is_single: bool) -> Self {
        match lists.pop() {
            Some(list) if is_single => Self::One(list),
            last => {
                lists.extend(last);
                Self::Several(lists)
            }
        }
    }
}

/// Classifies one text or several
///
/// Speaks the protocol of text-embeddings-inference. A list of two strings is two texts, not a pair. A body with
/// `instances` is answered like that of `/vertex`.
#[utoipa::path(
    post, path = "/predict", tag = "text-embeddings-inference",
    request_body = PredictBody,
    responses((status = 200, description = "Labels with their scores", body = Answer), Failures),
)]
pub async fn predict(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let fields = app.fields(body).await?;
    if fields.has("instances") {
        return instances::predictions(&app, None, fields).await;
    }
    answer(&app, fields).await
}

/// Classifies like `/predict`, `/vertex` or `/models/{name}`
///
/// The answer has the shape of `/vertex` if the body has `instances`, that of `/models/{name}` if it has `parameters`,
/// as the requests of Hugging Face's clients do, and otherwise that of `/predict`.
#[utoipa::path(
    post, path = "/", tag = "text-embeddings-inference",
    request_body = PredictBody,
    responses((status = 200, description = "Labels with their scores", body = Answer), Failures),
)]
pub async fn root(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let mut fields = app.fields(body).await?;
    if fields.has("instances") {
        return instances::predictions(&app, None, fields).await;
    }
    if fields.has("parameters") {
        let model = fields.string("model")?;
        return inference::answer(&app, model.as_deref(), fields).await;
    }
    answer(&app, fields).await
}

async fn answer(app: &App, mut fields: Fields) -> Result<Response, Failure> {
    let model = app.model_or_first(fields.string("model")?.as_deref())?;
    let texts = texts("inputs", fields.require("inputs")?)?;
    let parameters = Parameters::read(&mut fields)?;
    let is_single = texts.is_single;
    let request = PredictRequest::new("inputs", texts, &parameters);
    let predicted = predict_all(app, model, request).await?;
    answered(&Answer::new(rankings(&predicted, &parameters), is_single), &predicted)
}
