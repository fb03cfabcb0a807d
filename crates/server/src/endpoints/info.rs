//! `GET /info` of text-embeddings-inference.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::json;
use crate::app::App;
use crate::failure::Failure;

/// Describes the first model, and lists the names of all.
pub async fn info(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let model = &app.models[0];
    let (classifier, settings) = (model.classifier(), &app.settings);
    let labels = classifier.labels();
    let by_index: BTreeMap<usize, &String> = labels.iter().enumerate().collect();
    let by_label: BTreeMap<&String, usize> = labels.iter().zip(0..).collect();
    json(&json!({
        "model_id": model.name(),
        "model_sha": null,
        "model_dtype": classifier.info().precision.name(),
        "served_model_name": model.name(),
        "model_type": {"classifier": {"id2label": by_index, "label2id": by_label}},
        "max_concurrent_requests": settings.max_connections,
        "max_input_length": classifier.max_tokens(),
        "max_batch_tokens": model.batcher().batch_tokens(),
        "max_batch_requests": null,
        "max_client_batch_size": settings.max_texts,
        "auto_truncate": true,
        "tokenization_workers": tokio::runtime::Handle::current().metrics().num_workers(),
        "version": env!("CARGO_PKG_VERSION"),
        "sha": null,
        "docker_label": null,
        "models": app.models.iter().map(|model| model.name()).collect::<Vec<_>>(),
    }))
}
