//! `{"instances": […]}` of Vertex AI and of KServe's first protocol.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answered;
use super::predict::Answer;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::{Fields, Texts, expected, texts};
use crate::openapi::{Failures, InstancesBody};
use crate::parameters::Parameters;
use crate::prediction::{PredictRequest, predict_all};

/// Predictions of each instance.
#[derive(Serialize, ToSchema)]
pub struct Predictions<'a> {
    predictions: Vec<Answer<'a>>,
}

/// Classifies the instances of Vertex AI
///
/// An instance is a text, or an object with `inputs` and parameters of its own. Each prediction has the shape that
/// `/predict` returns for its instance.
#[utoipa::path(
    post, path = "/vertex", tag = "Vertex AI and KServe v1",
    request_body = InstancesBody,
    responses((status = 200, description = "One prediction for each instance", body = Predictions), Failures),
)]
pub async fn vertex(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let fields = app.fields(body).await?;
    predictions(&app, None, fields).await
}

/// Classifies instances with a model
///
/// Like `/vertex`, at the path of KServe's first protocol and of TensorFlow Serving.
#[utoipa::path(
    post, path = "/v1/models/{name}", operation_id = "v1_predict", tag = "Vertex AI and KServe v1",
    params(("name" = String, Path, description = "Name of the model")),
    request_body = InstancesBody,
    responses((status = 200, description = "One prediction for each instance", body = Predictions), Failures),
)]
pub async fn v1(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    let Some(name) = name.strip_suffix(":predict") else {
        return Err(Failure::new(Kind::NotFound, "the path should end in `:predict`"));
    };
    app.model(name)?;
    let fields = app.fields(body).await?;
    predictions(&app, Some(name), fields).await
}

/// Texts of one instance.
struct Instance {
    name: String,
    texts: Texts,
    parameters: Parameters,
}

/// Answers a body with `instances`.
pub async fn predictions(
    app: &App,
    model: Option<&str>,
    mut fields: Fields,
) -> Result<Response, Failure> {
    let named = fields.string("model")?;
    let model = app.model_or_first(model.or(named.as_deref()))?;
    let instances = read(&mut fields)?;
    let texts = instances.iter().flat_map(|Instance { name, texts, parameters }| {
        texts.texts.iter().enumerate().map(move |(index, text)| {
            let name = if texts.is_single { name.clone() } else { format!("{name}[{index}]") };
            (name, text.clone(), parameters.truncation())
        })
    });
    let predicted = predict_all(app, model, PredictRequest::of_each(texts.collect())).await?;
    let mut rest = predicted.predictions.iter();
    let answer = |Instance { texts, parameters, .. }: &Instance| {
        let own = rest.by_ref().take(texts.texts.len());
        let lists = own.map(|prediction| parameters.ranking(prediction)).collect();
        Answer::new(lists, texts.is_single)
    };
    let predictions = instances.iter().map(answer).collect();
    answered(&Predictions { predictions }, &predicted)
}

fn read(fields: &mut Fields) -> Result<Vec<Instance>, Failure> {
    let defaults = Parameters::read(fields)?;
    match fields.require("instances")? {
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| instance(index, item, defaults))
            .collect(),
        other => Err(expected("instances", "a list", &other)),
    }
}

fn instance(index: usize, item: Value, defaults: Parameters) -> Result<Instance, Failure> {
    let name = format!("instances[{index}]");
    match item {
        Value::Object(values) => {
            let mut fields = Fields::of(&name, values);
            let parameters = defaults.overridden_by(&mut fields)?;
            let name = fields.name("inputs");
            let texts = texts(&name, fields.take("inputs").unwrap_or_default())?;
            Ok(Instance { name, texts, parameters })
        }
        item => {
            let Texts { texts, .. } = texts(&name, item)?;
            if texts.len() > 1 {
                let message = "pairs of texts are not supported by this model";
                return Err(Failure::new(Kind::Validation, message).about(&name));
            }
            Ok(Instance { name, texts: Texts { texts, is_single: true }, parameters: defaults })
        }
    }
}
