//! `POST /classify` of infinity and of vLLM.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{answered, rankings};
use crate::app::{App, RequestId};
use crate::failure::Failure;
use crate::fields::{Fields, bad, texts};
use crate::model::Model;
use crate::openapi::{ClassifyBody, Failures};
use crate::parameters::{Parameters, Scored};
use crate::prediction::{PredictRequest, Predicted, predict_all};

/// Predictions in infinity's shape.
#[derive(Serialize, ToSchema)]
pub struct Classified<'a> {
    /// `classify`.
    object: &'static str,
    /// Labels of each text, highest score first.
    data: Vec<Vec<Scored<'a>>>,
    #[serde(flatten)]
    origin: Origin<'a>,
}

/// Predictions in vLLM's shape.
#[derive(Serialize, ToSchema)]
pub struct VllmClassified<'a> {
    /// `list`.
    object: &'static str,
    /// Prediction of each text.
    data: Vec<VllmPrediction<'a>>,
    #[serde(flatten)]
    origin: Origin<'a>,
}

/// Prediction of one text in vLLM's shape.
#[derive(Serialize, ToSchema)]
pub struct VllmPrediction<'a> {
    /// Index of the text.
    index: usize,
    /// Predicted label.
    label: &'a str,
    /// Scores in label order.
    probs: Vec<f32>,
    /// Number of labels.
    num_classes: usize,
}

/// Request, model and cost of an answer.
#[derive(Serialize, ToSchema)]
pub struct Origin<'a> {
    /// Id of the request.
    id: String,
    /// Time in seconds since 1970.
    created: u64,
    /// Name of the model.
    model: &'a str,
    usage: Usage,
}

/// Tokens that were computed.
#[derive(Serialize, ToSchema)]
pub struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
    /// 0: no text is generated.
    completion_tokens: usize,
}

impl<'a> Origin<'a> {
    fn new(id: &RequestId, model: &'a Model, predicted: &Predicted) -> Self {
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tokens = predicted.tokens();
        Self {
            id: id.to_string(),
            created: created.as_secs(),
            model: model.name(),
            usage: Usage { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0 },
        }
    }
}

/// Classifies one text or several
///
/// Speaks the protocol of infinity.
#[utoipa::path(
    post, path = "/classify", tag = "infinity and vLLM",
    request_body = ClassifyBody,
    responses((status = 200, description = "Labels with their scores", body = Classified), Failures),
)]
pub async fn infinity(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = app.fields(body).await?;
    let parameters = Parameters::read(&mut fields)?;
    let (model, predicted) = compute(&app, fields, &parameters).await?;
    let answer = Classified {
        object: "classify",
        data: rankings(&predicted, &parameters),
        origin: Origin::new(&id, model, &predicted),
    };
    answered(&answer, &predicted)
}

/// Classifies one text or several, with all scores in label order
///
/// Speaks the protocol of vLLM: give its clients the server's address with `/vllm` at the end. `use_activation`,
/// `activation` and `softmax` are accepted too: false returns logits.
#[utoipa::path(
    post, path = "/vllm/classify", tag = "infinity and vLLM",
    request_body = ClassifyBody,
    responses((status = 200, description = "Predictions", body = VllmClassified), Failures),
)]
pub async fn vllm(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = app.fields(body).await?;
    let mut parameters = Parameters::read(&mut fields)?;
    for name in ["use_activation", "activation", "softmax"] {
        if fields.flag(name)? == Some(false) {
            parameters = parameters.raw();
        }
    }
    if parameters.top_k().is_some() {
        return Err(bad("top_k: responses in vLLM's protocol always have all labels"));
    }
    let (model, predicted) = compute(&app, fields, &parameters).await?;
    let data = predicted.predictions.iter().enumerate().map(|(index, prediction)| {
        let probs = parameters.scores(prediction).into_owned();
        VllmPrediction { index, label: prediction.label(), num_classes: probs.len(), probs }
    });
    let answer = VllmClassified {
        object: "list",
        data: data.collect(),
        origin: Origin::new(&id, model, &predicted),
    };
    answered(&answer, &predicted)
}

async fn compute<'a>(
    app: &'a App,
    mut fields: Fields,
    parameters: &Parameters,
) -> Result<(&'a Arc<Model>, Predicted), Failure> {
    let model = app.model_or_first(fields.string("model")?.as_deref())?;
    let texts = texts("input", fields.require("input")?)?;
    let request = PredictRequest::new("input", texts, parameters);
    Ok((model, predict_all(app, model, request).await?))
}
