//! Texts in, predictions out: the way of every endpoint to the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use distilbert::batcher::{Pending, SubmitOptions, Timing};
use distilbert::{Prediction, Truncation};

use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::Texts;
use crate::model::Model;

/// Number of bytes of text up to which a request is tokenized where it is: a fraction of a millisecond.
const MAX_INLINE_BYTES: usize = 16 << 10;

/// Questions of one request.
pub struct Questions {
    /// Field that holds the texts, for errors.
    pub field: &'static str,
    pub texts: Texts,
    pub truncation: Option<Truncation>,
}

/// Predictions of one request, in the order of the texts, and their cost.
pub struct Answers {
    pub predictions: Vec<Prediction>,
    pub is_single: bool,
    cost: Cost,
}

struct Cost {
    received: Instant,
    tokens: usize,
    characters: usize,
    tokenization: Duration,
    queue: Duration,
    compute: Duration,
}

/// Computes predictions. If one text fails, the whole request does.
pub async fn answer(
    app: &App,
    model: &Arc<Model>,
    questions: Questions,
) -> Result<Answers, Failure> {
    let received = Instant::now();
    let Questions { field, texts: Texts { texts, is_single }, truncation } = questions;
    check(app, field, &texts)?;
    let characters = texts.iter().map(|text| text.chars().count()).sum();
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
    let pending = if characters <= MAX_INLINE_BYTES {
        submit()?
    } else {
        let task = tokio::task::spawn_blocking(submit);
        task.await.map_err(|error| Failure::new(Kind::Backend, error.to_string()))??
    };
    let mut cost = Cost {
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
    Ok(Answers { predictions, is_single, cost })
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

impl Answers {
    /// Adds headers that tell the cost, in milliseconds, as text-embeddings-inference does.
    pub fn describe(&self, headers: &mut HeaderMap) {
        let Cost { received, tokens, characters, tokenization, queue, compute } = self.cost;
        let total = received.elapsed();
        let numbers = [
            ("x-compute-type", None),
            ("x-compute-time", Some(total.as_millis())),
            ("x-compute-tokens", Some(tokens as u128)),
            ("x-compute-characters", Some(characters as u128)),
            ("x-total-time", Some(total.as_millis())),
            ("x-tokenization-time", Some(tokenization.as_millis())),
            ("x-queue-time", Some(queue.as_millis())),
            ("x-inference-time", Some(compute.as_millis())),
        ];
        for (name, number) in numbers {
            let value = number.map_or("cpu".to_owned(), |number| number.to_string());
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
    }
}
