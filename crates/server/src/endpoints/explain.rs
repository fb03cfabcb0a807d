//! `POST /explain`: the words behind a prediction.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use distilbert::explain::{ExplainOptions, Method, Objective, Target};

use super::json;
use crate::app::App;
use crate::failure::{Failure, Kind};
use crate::fields::{Fields, bad};

/// Largest number of steps of integrated gradients, each of which costs a backward pass.
const MAX_STEPS: usize = 100;

/// Answers `{"inputs": "…", "model": …, "parameters": {"method": …, "target": …, "against": …, "objective": …}}` with
/// an explanation.
///
/// Explanations don't pass through the queue. They take several times as long as a prediction, and are computed one at
/// a time, outside the workers; other requests in the meantime are refused.
pub async fn explain(State(app): State<Arc<App>>, body: Body) -> Result<Response, Failure> {
    let mut fields = Fields::parse(&app.read(body).await?)?;
    let text = fields.string("inputs")?.ok_or_else(|| bad("inputs: missing"))?;
    if text.is_empty() {
        return Err(Failure::new(Kind::Empty, "inputs: expected text, found none"));
    }
    let model = match fields.string("model")? {
        Some(name) => app.model(&name)?.clone(),
        None => app.models[0].clone(),
    };
    let options = options(fields.object("parameters")?)?;
    let Ok(turn) = app.explaining.clone().try_acquire_owned() else {
        return Err(Failure::new(Kind::Overloaded, "another explanation is being computed"));
    };
    let compute = move || {
        let _turn = turn;
        model.classifier().explain(&text, &options)
    };
    let explanation = tokio::task::spawn_blocking(compute).await;
    json(&explanation.map_err(|error| Failure::new(Kind::Backend, error.to_string()))??)
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
