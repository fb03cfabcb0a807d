//! KServe's Open Inference Protocol v2 over REST.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::{health, json};
use crate::app::App;
use crate::failure::Failure;
use crate::fields::{Fields, Texts, bad, expected};
use crate::model::Model;
use crate::prediction::{PredictRequest, Predicted, predict_all};

/// The only version of each model.
const VERSION: &str = "1";

/// Outputs that a request can name; a request that names none gets all but the last.
const OUTPUTS: [&str; 4] = ["label", "index", "scores", "logits"];

/// Header of requests with binary tensors, an extension that is not supported.
const BINARY_HEADER: &str = "inference-header-content-length";

/// Parameters of a path, `name` and perhaps `version`.
type Parameters = Path<HashMap<String, String>>;

/// Describes the server.
pub async fn server() -> Result<Response, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    json(&json!({"name": "distilbert", "version": version, "extensions": []}))
}

/// Describes a model.
pub async fn model(
    State(app): State<Arc<App>>,
    Path(parameters): Parameters,
) -> Result<Response, Failure> {
    let model = find(&app, &parameters)?;
    let labels = model.classifier().labels().len();
    let tensor =
        |name, datatype, shape: &[i64]| json!({"name": name, "datatype": datatype, "shape": shape});
    let columns = i64::try_from(labels).unwrap_or(-1);
    json(&json!({
        "name": model.name(),
        "versions": [VERSION],
        "platform": "distilbert",
        "inputs": [tensor("text", "BYTES", &[-1])],
        "outputs": [
            tensor(OUTPUTS[0], "BYTES", &[-1]),
            tensor(OUTPUTS[1], "INT64", &[-1]),
            tensor(OUTPUTS[2], "FP32", &[-1, columns]),
            tensor(OUTPUTS[3], "FP32", &[-1, columns]),
        ],
        "parameters": {"labels": model.classifier().labels()},
    }))
}

/// Reports that a model accepts requests.
pub async fn model_ready(
    State(app): State<Arc<App>>,
    Path(parameters): Parameters,
) -> Result<Response, Failure> {
    let model = find(&app, &parameters)?;
    health::check(&app)?;
    json(&json!({"name": model.name(), "ready": true}))
}

fn find<'a>(app: &'a App, parameters: &HashMap<String, String>) -> Result<&'a Arc<Model>, Failure> {
    match parameters.get("version").map(String::as_str) {
        None | Some(VERSION) => app.model(parameters.get("name").map_or("", String::as_str)),
        Some(_) => Err(Failure::new(
            crate::failure::Kind::NotFound,
            format!("the only version of a model is {VERSION}"),
        )),
    }
}

#[derive(Serialize)]
struct Inference<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Bytes(Vec<&'a str>),
    Integers(Vec<usize>),
    Floats(Vec<f32>),
}

/// Classifies the texts of a BYTES tensor.
pub async fn infer(
    State(app): State<Arc<App>>,
    Path(parameters): Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let model = find(&app, &parameters)?;
    if headers.contains_key(BINARY_HEADER) {
        return Err(bad("binary tensors are not supported: send `data` as JSON"));
    }
    let mut fields = Fields::parse(&app.read(body).await?)?;
    let id = fields.string("id")?;
    let outputs = requested(&mut fields)?;
    let truncation = super::predict::truncation(&mut fields.object("parameters")?)?;
    let texts = Texts { texts: input(&mut fields)?, is_single: false };
    let request = PredictRequest { field: "inputs[0].data", texts, truncation };
    let predicted = predict_all(&app, model, request).await?;
    let outputs = outputs.into_iter().map(|name| tensor(name, &predicted)).collect();
    let (model_name, model_version) = (model.name(), VERSION);
    let mut response = json(&Inference { model_name, model_version, id, outputs })?;
    predicted.describe(response.headers_mut());
    Ok(response)
}

/// Reads the names of the requested outputs.
fn requested(fields: &mut Fields) -> Result<Vec<&'static str>, Failure> {
    let Some(outputs) = fields.objects("outputs")?.filter(|outputs| !outputs.is_empty()) else {
        return Ok(OUTPUTS[..3].to_vec());
    };
    let name = |mut output: Fields| {
        let field = output.name("name");
        let name = output.string("name")?.unwrap_or_default();
        OUTPUTS.into_iter().find(|&known| known == name).ok_or_else(|| {
            bad(format!("{field}: expected one of {}, found `{name}`", OUTPUTS.join(", ")))
        })
    };
    outputs.into_iter().map(name).collect()
}

/// Reads the only input: a BYTES tensor of shape `[n]` or `[n, 1]`.
fn input(fields: &mut Fields) -> Result<Vec<String>, Failure> {
    let inputs = fields.objects("inputs")?.ok_or_else(|| bad("inputs: missing"))?;
    let Ok([mut input]) = <[Fields; 1]>::try_from(inputs) else {
        return Err(bad("inputs: expected one tensor"));
    };
    let datatype = input.string("datatype")?.unwrap_or_default();
    if datatype != "BYTES" {
        return Err(bad(format!("inputs[0].datatype: expected BYTES, found `{datatype}`")));
    }
    let shape = input.require("shape")?;
    let mut texts = Vec::new();
    flatten(input.require("data")?, &mut texts)?;
    let rows: Option<Vec<u64>> =
        shape.as_array().and_then(|sizes| sizes.iter().map(Value::as_u64).collect());
    match rows.as_deref() {
        Some(&[rows] | &[rows, 1]) if rows == texts.len() as u64 => Ok(texts),
        Some(&[_] | &[_, 1]) => Err(bad(format!(
            "inputs[0].data: expected as many texts as the shape specifies, found {}",
            texts.len()
        ))),
        _ => Err(bad("inputs[0].shape: expected [n] or [n, 1]")),
    }
}

/// Collects the strings of nested lists.
fn flatten(data: Value, texts: &mut Vec<String>) -> Result<(), Failure> {
    match data {
        Value::String(text) => texts.push(text),
        Value::Array(items) => {
            return items.into_iter().try_for_each(|item| flatten(item, texts));
        }
        other => return Err(expected("inputs[0].data", "strings", &other)),
    }
    Ok(())
}

fn tensor<'a>(name: &'static str, predicted: &'a Predicted) -> Tensor<'a> {
    let all = &predicted.predictions;
    let rows = all.len();
    let matrix = |values: Vec<f32>| {
        let columns = values.len() / rows.max(1);
        ("FP32", vec![rows, columns], Data::Floats(values))
    };
    let (datatype, shape, data) = match name {
        "label" => ("BYTES", vec![rows], Data::Bytes(all.iter().map(|one| one.label()).collect())),
        "index" => {
            ("INT64", vec![rows], Data::Integers(all.iter().map(|one| one.index()).collect()))
        }
        "logits" => matrix(all.iter().flat_map(|one| one.logits().to_vec()).collect()),
        _ => matrix(all.iter().flat_map(|one| one.scores().to_vec()).collect()),
    };
    Tensor { name, datatype, shape, data }
}
