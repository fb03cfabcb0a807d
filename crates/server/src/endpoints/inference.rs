//! `POST /models/{name}`: text classification of Hugging Face's inference API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use distilbert::Prediction;

use super::{Scored, json, ranked};
use crate::answers::{Questions, answer};
use crate::app::App;
use crate::failure::Failure;
use crate::fields::{Fields, bad, texts};

/// Function from logits to scores.
#[derive(Clone, Copy)]
enum Function {
    /// The one of the model's problem type.
    Own,
    Softmax,
    Sigmoid,
    Identity,
}

/// Answers `{"inputs": …, "parameters": {"function_to_apply": …, "top_k": …}}` with a list of lists of scores, also for
/// one text: `InferenceClient.text_classification` takes the first.
pub async fn classify(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    let model = app.model(&name)?;
    let mut fields = Fields::parse(&app.read(body).await?)?;
    let texts = texts("inputs", fields.require("inputs")?)?;
    let mut parameters = fields.object("parameters")?;
    let function = match parameters.string("function_to_apply")?.as_deref() {
        None => Function::Own,
        Some("softmax") => Function::Softmax,
        Some("sigmoid") => Function::Sigmoid,
        Some("none") => Function::Identity,
        Some(_) => {
            return Err(bad(
                "parameters.function_to_apply: expected `softmax`, `sigmoid` or `none`",
            ));
        }
    };
    let top_k = parameters.count("top_k")?.unwrap_or(usize::MAX);
    let questions = Questions { field: "inputs", texts, truncation: None };
    let answers = answer(&app, model, questions).await?;
    let scores = |prediction| -> Vec<f32> { apply(function, prediction) };
    let all: Vec<Vec<f32>> = answers.predictions.iter().map(scores).collect();
    let lists = answers.predictions.iter().zip(&all).map(|(prediction, scores)| {
        let mut list = ranked(prediction.labels(), scores);
        list.truncate(top_k);
        list
    });
    let mut response = json(&lists.collect::<Vec<Vec<Scored<'_>>>>())?;
    answers.describe(response.headers_mut());
    Ok(response)
}

fn apply(function: Function, prediction: &Prediction) -> Vec<f32> {
    let logits = prediction.logits();
    match function {
        Function::Own => prediction.scores().to_vec(),
        Function::Identity => logits.to_vec(),
        Function::Sigmoid => {
            logits.iter().map(|&logit| (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32).collect()
        }
        Function::Softmax => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f64> =
                logits.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(|power| (power / sum) as f32).collect()
        }
    }
}
