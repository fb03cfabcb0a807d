//! [`predict_all`]: queues the texts of a request and awaits their predictions, for every endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};
use distilbert::batcher::{Pending, SubmitOptions, Timing};
use distilbert::{Device, Prediction, Truncation};

use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::Texts;
use crate::model::Model;

/// Number of bytes of text up to which a request is tokenized on the runtime's own threads. Longer texts would delay other
/// requests.
const MAX_INLINE_BYTES: usize = 4 << 10;

/// Texts of one request.
pub struct PredictRequest {
    /// Field that holds the texts, for errors.
    pub field: &'static str,
    pub texts: Texts,
    pub truncation: Option<Truncation>,
}

/// Predictions of one request, in the order of the texts, and their cost.
pub struct Predicted {
    pub predictions: Vec<Prediction>,
    pub is_single: bool,
    cost: Cost,
}

struct Cost {
    compute_type: &'static str,
    received: Instant,
    tokens: usize,
    characters: usize,
    tokenization: Duration,
    queue: Duration,
    compute: Duration,
}

/// Computes predictions. If one text fails, the whole request does.
pub async fn predict_all(
    app: &App,
    model: &Arc<Model>,
    request: PredictRequest,
) -> Result<Predicted, Failure> {
    let received = Instant::now();
    let PredictRequest { field, texts: Texts { texts, is_single }, truncation } = request;
    check(app, field, &texts)?;
    let characters = texts.iter().map(|text| text.chars().count()).sum();
    let bytes: usize = texts.iter().map(String::len).sum();
    let deadline = received + app.settings.request_timeout;
    let mut options = SubmitOptions::default().deadline(deadline);
    if let Some(truncation) = truncation {
        options = options.truncation(truncation);
    }
    let name = move |index| if is_single { field.to_owned() } else { format!("{field}[{index}]") };
    let submit = {
        let model = model.clone();
        move || {
            submit_all(&model, &texts, &options)
                .map_err(|(index, failure)| failure.about(&name(index)))
        }
    };
    let pending = if bytes <= MAX_INLINE_BYTES {
        submit()?
    } else {
        let task = tokio::task::spawn_blocking(submit);
        task.await.map_err(|error| Failure::new(Kind::Backend, error.to_string()))??
    };
    let mut cost = Cost {
        compute_type: match model.classifier().info().device {
            Device::Cuda(_) => "gpu",
            _ => "cpu",
        },
        received,
        tokens: 0,
        characters,
        tokenization: Duration::ZERO,
        queue: Duration::ZERO,
        compute: Duration::ZERO,
    };
    let mut predictions = Vec::with_capacity(pending.len());
    for request in pending {
        predictions.push(finish(request, deadline, &mut cost).await?);
    }
    app.meters.answered(cost.tokens, cost.tokenization);
    Ok(Predicted { predictions, is_single, cost })
}

fn check(app: &App, field: &str, texts: &[String]) -> Result<(), Failure> {
    if texts.is_empty() || texts.iter().any(|text| text.is_empty()) {
        return Err(Failure::new(Kind::Empty, "expected text, found none").about(field));
    }
    let limit = app.settings.max_texts;
    if texts.len() > limit {
        let message = format!("has {} texts, but a request may have at most {limit}", texts.len());
        return Err(Failure::new(Kind::Validation, message).about(field));
    }
    Ok(())
}

/// Queues all texts, or fails with the index of the first that is refused; the others are then canceled.
fn submit_all(
    model: &Model,
    texts: &[String],
    options: &SubmitOptions,
) -> Result<Vec<Pending>, (usize, Failure)> {
    let submit = |(index, text): (usize, &String)| {
        model.batcher().submit_with(text, options).map_err(|error| (index, error.into()))
    };
    texts.iter().enumerate().map(submit).collect()
}

/// Awaits one prediction until the deadline.
async fn finish(
    mut request: Pending,
    deadline: Instant,
    cost: &mut Cost,
) -> Result<Prediction, Failure> {
    let late = |_| Failure::new(Kind::Timeout, "the request was not answered in time");
    let prediction =
        tokio::time::timeout_at(deadline.into(), &mut request).await.map_err(late)??;
    let Timing { tokenization, queue, compute, .. } = request.timing().unwrap_or_default();
    cost.tokens += prediction.tokens();
    cost.tokenization += tokenization;
    cost.queue = cost.queue.max(queue);
    cost.compute = cost.compute.max(compute);
    Ok(prediction)
}

impl Predicted {
    /// Adds headers with the cost, in milliseconds, as text-embeddings-inference does.
    pub fn describe(&self, headers: &mut HeaderMap) {
        let Cost { compute_type, received, tokens, characters, tokenization, queue, compute } =
            self.cost;
        let total = received.elapsed().as_millis();
        headers.insert("x-compute-type", HeaderValue::from_static(compute_type));
        for (name, number) in [
            ("x-compute-time", total),
            ("x-compute-tokens", tokens as u128),
            ("x-compute-characters", characters as u128),
            ("x-total-time", total),
            ("x-tokenization-time", tokenization.as_millis()),
            ("x-queue-time", queue.as_millis()),
            ("x-inference-time", compute.as_millis()),
        ] {
            // A number is a valid value.
            if let Ok(value) = number.to_string().parse() {
                headers.insert(name, value);
            }
        }
    }
}
