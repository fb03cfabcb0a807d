//! `POST /predict` of text-embeddings-inference, and the envelope of Vertex AI and KServe's first protocol.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use distilbert::Truncation;
use serde::Serialize;
use serde_json::Value;

use super::{Scored, json, ranking};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::{Fields, bad, texts};
use crate::model::Model;
use crate::prediction::{PredictRequest, Predicted, predict_all};

#[derive(Serialize)]
struct Envelope<'a> {
    predictions: Vec<Vec<Scored<'a>>>,
}

/// Answers `{"inputs": …, "truncate": …, "truncation_direction": …, "raw_scores": …}` with one list of scores for one
/// text, and a list of such lists for several. On `/`, which Vertex AI can be told to use, `{"instances": […]}` is
/// answered too.
pub async fn predict(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let mut fields = Fields::parse(&app.read(body).await?)?;
    let model = &app.models[0];
    match fields.take("instances") {
        Some(instances) => predictions(&app, model, instances, fields).await,
        None => {
            let inputs = fields.require("inputs")?;
            let (predicted, is_raw) = compute(&app, model, ("inputs", inputs), fields).await?;
            let lists = rankings(&predicted, is_raw);
            let mut response = if predicted.is_single { json(&lists[0]) } else { json(&lists) }?;
            predicted.describe(response.headers_mut());
            Ok(response)
        }
    }
}

/// Answers Vertex AI's `{"instances": […]}` with `{"predictions": […]}`.
pub async fn vertex(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let mut fields = Fields::parse(&app.read(body).await?)?;
    let instances = fields.require("instances")?;
    predictions(&app, &app.models[0], instances, fields).await
}

/// Answers `POST /v1/models/{name}:predict` like [`vertex`].
pub async fn v1(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    let Some(name) = name.strip_suffix(":predict") else {
        return Err(Failure::new(Kind::NotFound, "the path should end in `:predict`"));
    };
    let model = app.model(name)?;
    let mut fields = Fields::parse(&app.read(body).await?)?;
    let instances = fields.require("instances")?;
    predictions(&app, model, instances, fields).await
}

async fn predictions(
    app: &App,
    model: &Arc<Model>,
    instances: Value,
    fields: Fields,
) -> Result<Response, Failure> {
    let instances = unwrapped(instances)?;
    let (predicted, is_raw) = compute(app, model, ("instances", instances), fields).await?;
    let mut response = json(&Envelope { predictions: rankings(&predicted, is_raw) })?;
    predicted.describe(response.headers_mut());
    Ok(response)
}

/// Returns the ranking of each text.
fn rankings(predicted: &Predicted, is_raw: bool) -> Vec<Vec<Scored<'_>>> {
    predicted.predictions.iter().map(|prediction| ranking(prediction, is_raw)).collect()
}

/// Extracts the texts from instances such as `{"inputs": "a"}`.
fn unwrapped(instances: Value) -> Result<Value, Failure> {
    let Value::Array(items) = instances else { return Ok(instances) };
    let text = |(index, item)| match item {
        Value::Object(mut fields) => fields
            .remove("inputs")
            .ok_or_else(|| bad(format!("instances[{index}].inputs: missing"))),
        other => Ok(other),
    };
    items.into_iter().enumerate().map(text).collect()
}

async fn compute(
    app: &App,
    model: &Arc<Model>,
    (field, inputs): (&'static str, Value),
    mut fields: Fields,
) -> Result<(Predicted, bool), Failure> {
    let is_raw = fields.flag("raw_scores")?.unwrap_or(false);
    let request = PredictRequest {
        field,
        texts: texts(field, inputs)?,
        truncation: truncation(&mut fields)?,
    };
    Ok((predict_all(app, model, request).await?, is_raw))
}

/// Reads `truncate`, by default true, and `truncation_direction`, by default the checkpoint's.
pub fn truncation(fields: &mut Fields) -> Result<Option<Truncation>, Failure> {
    let truncates = fields.flag("truncate")?;
    let direction = match fields.string("truncation_direction")?.as_deref() {
        None => None,
        Some("right" | "Right") => Some(Truncation::Right),
        Some("left" | "Left") => Some(Truncation::Left),
        Some(_) => return Err(bad("truncation_direction: expected `left` or `right`")),
    };
    Ok(if truncates == Some(false) { Some(Truncation::Error) } else { direction })
}
