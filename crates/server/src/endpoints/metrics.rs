//! `GET /metrics`: Prometheus' text format, with the names of text-embeddings-inference.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use distilbert::batcher::{Histogram, Statistics};

use super::typed;
use crate::app::App;
use crate::failure::Failure;
use crate::meters::{Page, escape};

/// A number of a queue.
type Number = fn(&Statistics) -> f64;

/// A histogram of a queue.
type Distribution = fn(&Statistics) -> &Histogram;

const GAUGES: &[(&str, Number)] = &[
    ("te_queue_size", |numbers| numbers.queued_requests as f64),
    ("distilbert_queue_tokens", |numbers| numbers.queued_tokens as f64),
];

const COUNTERS: &[(&str, Number)] = &[
    ("distilbert_texts_accepted", |numbers| numbers.accepted as f64),
    ("distilbert_texts_completed", |numbers| numbers.completed as f64),
    ("distilbert_texts_failed", |numbers| numbers.failed as f64),
    ("distilbert_texts_overloaded", |numbers| numbers.overloaded as f64),
    ("distilbert_texts_expired", |numbers| numbers.expired as f64),
    ("distilbert_texts_canceled", |numbers| numbers.canceled as f64),
    ("distilbert_worker_panics", |numbers| numbers.panics as f64),
];

/// `te_request_inference_duration` is measured per batch, since the requests of a batch share its time.
const HISTOGRAMS: &[(&str, Distribution)] = &[
    ("te_request_queue_duration", |numbers| &numbers.queue_seconds),
    ("te_request_inference_duration", |numbers| &numbers.compute_seconds),
    ("te_batch_next_size", |numbers| &numbers.batch_requests),
    ("te_batch_next_tokens", |numbers| &numbers.batch_tokens),
];

/// Metrics of the server and of its queues, in the Prometheus text format
#[utoipa::path(
    get, path = "/metrics", tag = "Server", security(()),
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")),
)]
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let mut page = Page::default();
    app.meters.write(&mut page);
    let queues = app.models.iter().map(|model| {
        let labels = format!("model=\"{}\"", escape(model.name()));
        Ok((labels, model.batcher().statistics()?))
    });
    let queues = queues.collect::<Result<Vec<_>, distilbert::Error>>()?;
    for (kind, numbers) in [("gauge", GAUGES), ("counter", COUNTERS)] {
        for (name, number) in numbers {
            page.kind(name, kind);
            queues.iter().for_each(|(labels, queue)| page.line(name, labels, number(queue)));
        }
    }
    for (name, histogram) in HISTOGRAMS {
        page.kind(name, "histogram");
        queues.iter().for_each(|(labels, queue)| page.of_queue(name, labels, histogram(queue)));
    }
    Ok(typed(Body::from(page.0), "text/plain; version=0.0.4; charset=utf-8"))
}
