//! `GET /info` of text-embeddings-inference.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::app::App;
use crate::failure::Failure;
use crate::openapi::Refused;

/// Description of the first model and of the server's limits.
#[derive(Serialize, ToSchema)]
pub struct Info<'a> {
    /// Name of the first model.
    model_id: &'a str,
    /// Always null.
    #[schema(required)]
    model_sha: Option<&'a str>,
    /// Precision of the weights, such as `f32` or `int8`.
    model_dtype: &'a str,
    /// Name of the first model.
    served_model_name: &'a str,
    model_type: ModelType<'a>,
    max_concurrent_requests: usize,
    /// Maximum number of tokens.
    max_input_length: usize,
    /// Maximum number of tokens per batch; a longer text forms a batch of its own.
    max_batch_tokens: usize,
    /// Always null: batches have no limit on texts.
    #[schema(required)]
    max_batch_requests: Option<usize>,
    /// Maximum number of texts per request.
    max_client_batch_size: usize,
    /// `true`: long texts are truncated unless a request says otherwise.
    auto_truncate: bool,
    tokenization_workers: usize,
    /// Version of the server.
    version: &'a str,
    /// Always null.
    #[schema(required)]
    sha: Option<&'a str>,
    /// Always null.
    #[schema(required)]
    docker_label: Option<&'a str>,
    /// Names of all models.
    models: Vec<&'a str>,
}

/// Kind of a model, with its labels.
#[derive(Serialize, ToSchema)]
pub struct ModelType<'a> {
    classifier: ClassifierLabels<'a>,
}

/// Labels of a classifier.
#[derive(Serialize, ToSchema)]
pub struct ClassifierLabels<'a> {
    /// Labels by index.
    #[schema(value_type = BTreeMap<String, String>)]
    id2label: BTreeMap<usize, &'a str>,
    /// Indices by label.
    #[schema(value_type = BTreeMap<String, usize>)]
    label2id: BTreeMap<&'a str, usize>,
}

/// Describes the first model and the limits, and lists the names of all models
#[utoipa::path(
    get, path = "/info", tag = "text-embeddings-inference",
    responses((status = 200, description = "Description of the server", body = Info), Refused),
)]
pub async fn info(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let model = &app.models[0];
    let (classifier, settings) = (model.classifier(), &app.settings);
    let labels = || classifier.labels().iter().map(String::as_str);
    let classifier_labels = ClassifierLabels {
        id2label: labels().enumerate().collect(),
        label2id: labels().zip(0..).collect(),
    };
    json(&Info {
        model_id: model.name(),
        model_sha: None,
        model_dtype: classifier.info().precision.name(),
        served_model_name: model.name(),
        model_type: ModelType { classifier: classifier_labels },
        max_concurrent_requests: settings.max_connections,
        max_input_length: classifier.max_tokens(),
        max_batch_tokens: model.batcher().batch_tokens(),
        max_batch_requests: None,
        max_client_batch_size: settings.max_texts,
        auto_truncate: true,
        tokenization_workers: tokio::runtime::Handle::current().metrics().num_workers(),
        version: env!("CARGO_PKG_VERSION"),
        sha: None,
        docker_label: None,
        models: app.models.iter().map(|model| model.name()).collect(),
    })
}
