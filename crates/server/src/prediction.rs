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
use crate::offload;
use crate::parameters::Parameters;

/// Texts of one request.
pub struct PredictRequest {
    texts: Vec<String>,
    /// One for each text.
    truncations: Vec<Option<Truncation>>,
    names: Names,
}

/// Fields that hold the texts, for errors.
pub enum Names {
    /// The only text is a field's value.
    Single(&'static str),
    /// The texts are the items of a field's list.
    Items(&'static str),
    /// Each text is in a field of its own.
    Each(Vec<String>),
}

impl Names {
    fn of(&self, index: usize) -> String {
        match self {
            Self::Single(name) => (*name).to_owned(),
            Self::Items(name) => format!("{name}[{index}]"),
            Self::Each(names) => names.get(index).cloned().unwrap_or_default(),
        }
    }

    /// Returns the name of the field that holds all texts.
    fn of_all(&self) -> &str {
        match self {
            Self::Single(name) | Self::Items(name) => name,
            Self::Each(_) => "instances",
        }
    }
}

impl PredictRequest {
    /// Creates the request of a field's texts.
    pub fn new(field: &'static str, texts: Texts, parameters: &Parameters) -> Self {
        let Texts { texts, is_single } = texts;
        let truncations = vec![parameters.truncation(); texts.len()];
        let names = if is_single { Names::Single(field) } else { Names::Items(field) };
        Self { texts, truncations, names }
    }

    /// Creates the request of texts that differ in their fields and in how they are truncated.
    pub fn of_each(texts: Vec<(String, String, Option<Truncation>)>) -> Self {
        let mut request =
            Self { texts: Vec::new(), truncations: Vec::new(), names: Names::Each(Vec::new()) };
        let mut names = Vec::with_capacity(texts.len());
        for (name, text, truncation) in texts {
            names.push(name);
            request.texts.push(text);
            request.truncations.push(truncation);
        }
        Self { names: Names::Each(names), ..request }
    }
}

/// Predictions of one request, in the order of the texts, and their cost.
pub struct Predicted {
    pub predictions: Vec<Prediction>,
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
    check(app, &request)?;
    let characters = request.texts.iter().map(|text| text.chars().count()).sum();
    let bytes: usize = request.texts.iter().map(String::len).sum();
    let deadline = received + app.settings.request_timeout;
    let submit = {
        let model = model.clone();
        move || submit_all(&model, &request, deadline)
    };
    let pending = offload::run(bytes, submit).await?;
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
    Ok(Predicted { predictions, cost })
}

fn check(app: &App, request: &PredictRequest) -> Result<(), Failure> {
    check_texts(app, request.names.of_all(), &request.texts)?;
    match request.texts.iter().position(String::is_empty) {
        Some(index) => Err(no_text(&request.names.of(index))),
        None => Ok(()),
    }
}

/// Checks the number of texts in a field.
pub fn check_texts(app: &App, field: &str, texts: &[String]) -> Result<(), Failure> {
    let limit = app.settings.max_texts;
    match texts.len() {
        0 => Err(no_text(field)),
        count if count > limit => {
            let message = format!("has {count} texts, but a request may have at most {limit}");
            Err(Failure::new(Kind::Validation, message).about(field))
        }
        _ => Ok(()),
    }
}

/// Returns the failure that a field has no text.
pub fn no_text(field: &str) -> Failure {
    Failure::new(Kind::Empty, "expected text, found none").about(field)
}

/// Queues all texts. If one is refused, the others are canceled.
fn submit_all(
    model: &Model,
    request: &PredictRequest,
    deadline: Instant,
) -> Result<Vec<Pending>, Failure> {
    let submit = |(index, (text, truncation)): (usize, (&String, &Option<Truncation>))| {
        let mut options = SubmitOptions::default().deadline(deadline);
        if let Some(truncation) = *truncation {
            options = options.truncation(truncation);
        }
        model
            .batcher()
            .submit_with(text, &options)
            .map_err(|error| Failure::from(error).about(&request.names.of(index)))
    };
    request.texts.iter().zip(&request.truncations).enumerate().map(submit).collect()
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
    /// Returns the number of tokens of all texts, special tokens included.
    pub fn tokens(&self) -> usize {
        self.cost.tokens
    }

    /// Adds headers that tell the cost, in milliseconds, as text-embeddings-inference does.
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
