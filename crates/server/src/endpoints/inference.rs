//! `POST /models/{name}`: text classification of Hugging Face's inference API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use distilbert::{Prediction, ProblemType};

use super::{Scored, json, ranked};
use crate::app::App;
use crate::failure::Failure;
use crate::fields::{Fields, bad, texts};
use crate::prediction::{PredictRequest, predict_all};

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
        None => None,
        Some("softmax") => Some(ProblemType::SingleLabelClassification),
        Some("sigmoid") => Some(ProblemType::MultiLabelClassification),
        Some("none") => Some(ProblemType::Regression),
        Some(_) => {
            return Err(bad(
                "parameters.function_to_apply: expected `softmax`, `sigmoid` or `none`",
            ));
        }
    };
    let top_k = parameters.count("top_k")?.unwrap_or(usize::MAX);
    let request = PredictRequest { field: "inputs", texts, truncation: None };
    let predicted = predict_all(&app, model, request).await?;
    let scores = |prediction: &Prediction| match function {
        None => prediction.scores().to_vec(),
        Some(problem_type) => prediction.scores_as(problem_type),
    };
    let all: Vec<Vec<f32>> = predicted.predictions.iter().map(scores).collect();
    let lists = predicted.predictions.iter().zip(&all).map(|(prediction, scores)| {
        let mut list = ranked(prediction.labels(), scores);
        list.truncate(top_k);
        list
    });
    let mut response = json(&lists.collect::<Vec<Vec<Scored<'_>>>>())?;
    predicted.describe(response.headers_mut());
    Ok(response)
}
