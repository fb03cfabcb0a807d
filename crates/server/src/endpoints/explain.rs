//! `POST /explain`: the words behind a prediction.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use distilbert::explain::{ExplainOptions, Explanation, Method, Objective, Target};
use distilbert_report::explanation::Page;
use serde::Serialize;

use super::{json, typed};
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::{Fields, bad};
use crate::openapi::{ExplainBody, Explained, Failures};
use crate::parameters::Parameters;
use crate::prediction::no_text;

/// Largest number of steps of integrated gradients, each of which costs a backward pass.
const MAX_STEPS: usize = 100;

/// An explanation with its pictures.
#[derive(Serialize)]
struct Pictured<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    pictures: BTreeMap<String, String>,
}

/// Explains a prediction by the relevance of each word
///
/// Explanations don't pass through the queue: they take several times as long as a prediction and are computed one at a
/// time, outside the workers. A request that arrives in the meantime is refused with `Overloaded`. With the header
/// `accept: text/html`, the response is an HTML page.
#[utoipa::path(
    post, path = "/explain", tag = "Explanations",
    request_body = ExplainBody,
    responses(
        (status = 200, description = "The explanation", content(
            (Explained = "application/json"),
            (String = "text/html"),
        )),
        Failures,
    ),
)]
pub async fn explain(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut fields = app.fields(body).await?;
    let text = fields.string("inputs")?.ok_or_else(|| bad("inputs: missing"))?;
    if text.is_empty() {
        return Err(no_text("inputs"));
    }
    let model = app.model_or_first(fields.string("model")?.as_deref())?.clone();
    let outer = Parameters::default().overridden_by(&mut fields)?;
    let mut parameters = fields.object("parameters")?;
    let truncation = outer.overridden_by(&mut parameters)?.truncation();
    let has_pictures = parameters.flag("pictures")?.unwrap_or(false);
    let mut options = options(parameters)?;
    if let Some(truncation) = truncation {
        options = options.truncation(truncation);
    }
    let Ok(turn) = app.explaining.clone().try_acquire_owned() else {
        return Err(Failure::new(Kind::Overloaded, "another explanation is being computed"));
    };
    let is_page = accepts_page(&headers);
    let compute = move || {
        let _turn = turn;
        let explanation = model.classifier().explain(&text, &options).map_err(named_text)?;
        match (is_page, has_pictures) {
            (true, _) => {
                let html = Page::new(&explanation).setting("model", model.name()).html();
                Ok(typed(Body::from(html), "text/html; charset=utf-8"))
            }
            (false, true) => {
                let pictures = Page::new(&explanation).pictures().into_iter().collect();
                json(&Pictured { explanation: &explanation, pictures })
            }
            (false, false) => json(&explanation),
        }
    };
    let answer = tokio::task::spawn_blocking(compute).await;
    answer.map_err(|error| Failure::new(Kind::Backend, error.to_string()))?
}

/// Returns `true` if the client wants a page. Clients that take anything get JSON.
fn accepts_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Names the field of errors that are about the text.
fn named_text(error: distilbert::Error) -> Failure {
    let is_about_text = matches!(error, distilbert::Error::Input(_));
    let failure = Failure::from(error);
    if is_about_text { failure.about("inputs") } else { failure }
}

fn options(mut parameters: Fields) -> Result<ExplainOptions, Failure> {
    let mut options = ExplainOptions::default();
    if let Some(method) = named::<Method>(&mut parameters, "method")? {
        if let Method::IntegratedGradients { steps } = method
            && steps > MAX_STEPS
        {
            return Err(bad(format!("parameters.method: expected at most {MAX_STEPS} steps")));
        }
        options = options.method(method);
    }
    if let Some(objective) = named::<Objective>(&mut parameters, "objective")? {
        options = options.objective(objective);
    }
    let target = parameters.string("target")?;
    match (target, parameters.string("against")?) {
        (None, None) => Ok(options),
        (Some(label), None) => Ok(options.target(Target::label(label))),
        (Some(label), Some(other)) => Ok(options.target(Target::against(label, other))),
        (None, Some(_)) => Err(bad("parameters.against: expected a `target` as well")),
    }
}

/// Takes the name of an option's value.
fn named<T: FromStr<Err: ToString>>(fields: &mut Fields, name: &str) -> Result<Option<T>, Failure> {
    let field = fields.name(name);
    let parse =
        |text: String| text.parse().map_err(|error: T::Err| bad(error.to_string()).about(&field));
    fields.string(name)?.map(parse).transpose()
}
