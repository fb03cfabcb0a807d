//! Bodies of requests to the server.

use std::sync::LazyLock;

use distilbert::Classifier;
use distilbert_server::fuzzing::Service;
use distilbert_server::{Model, Settings};
use serde_json::{Value, json};
use test_support::model_files;

use crate::budget::within;
use crate::bytes::Bytes;
use crate::json::changed;
use crate::model;

/// Bytes that any request may take, beyond 16 for each byte of its body.
const CONSTANT: usize = 32 << 20;

static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let model = model_files::model_bytes(model::base());
    let classifier = Classifier::builder_from(model).threads(1).build().unwrap();
    Service::new(vec![Model::new("small", classifier).unwrap()], Settings::default())
});

/// Paths with a body that each of them accepts.
static BODIES: LazyLock<Vec<(&str, Value)>> = LazyLock::new(|| {
    let parameters = json!({"top_k": 2, "function_to_apply": "softmax", "truncate": true,
        "truncation_direction": "left", "raw_scores": false});
    let inputs = json!({"inputs": ["w5 w6", ["w7"]], "parameters": parameters, "model": "small"});
    let tensor = json!({"id": "7", "inputs": [{"name": "text", "datatype": "BYTES", "shape": [2, 1],
        "data": [["w5"], "w6"], "parameters": {}}],
        "outputs": [{"name": "label"}, {"name": "logits", "parameters": {"binary_data": true}}],
        "parameters": {"top_k": 1, "binary_data_output": false}});
    vec![
        ("/predict", inputs.clone()),
        ("/", inputs.clone()),
        ("/invocations", inputs.clone()),
        ("/tokenize", json!({"inputs": "w5 [MASK]", "add_special_tokens": true})),
        ("/vertex", json!({"instances": ["w5", {"inputs": ["w6", "w7"], "top_k": 1}]})),
        ("/v1/models/small:predict", json!({"instances": [["w5"], {"inputs": "w6"}]})),
        ("/models/small", inputs),
        ("/classify", json!({"input": ["w5", "w6"], "model": "small"})),
        ("/vllm/classify", json!({"input": "w5", "softmax": false})),
        (
            "/explain",
            json!({"inputs": "w5 w6", "parameters": {"method": "lrp", "target": "anger",
            "against": "sadness", "objective": "logit", "pictures": true}}),
        ),
        ("/v2/models/small/infer", tensor.clone()),
        ("/v2/models/small/versions/1/infer", tensor),
        ("/v2/repository/index", json!({})),
    ]
});

/// Answers a request: a body that is the input, or an accepted body with edits; with or without binary data behind it.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let choice = bytes.byte();
    let (path, body) = &BODIES[bytes.below(BODIES.len())];
    let tail_len = if choice & 2 == 0 { 0 } else { bytes.byte().into() };
    let tail = bytes.slice(tail_len);
    let mut body = match choice & 1 {
        0 => bytes.rest().to_vec(),
        _ => changed(body, &mut bytes).to_string().into_bytes(),
    };
    let length = match choice >> 5 {
        7 => body.len() + 1,
        6 => body.len() / 2,
        _ => body.len(),
    };
    let length = length.to_string();
    let mut headers = vec![("content-type", "application/json")];
    if choice & 4 != 0 {
        headers.push(("accept", "text/html"));
    }
    if choice & 2 != 0 {
        headers.push(("inference-header-content-length", &length));
        body.extend(tail);
    }
    LazyLock::force(&SERVICE);
    let len = body.len();
    let answer = within(len, CONSTANT, || SERVICE.answer(("POST", path), &headers, body));
    let (status, body) = answer.unwrap();
    match status {
        200 => assert!(!body.is_empty()),
        400 | 404 | 413 | 422 => {
            let failure: Value = serde_json::from_slice(&body).unwrap();
            assert!(failure["error"].is_string() && failure["error_type"].is_string());
        }
        _ => panic!("{status}: {}", String::from_utf8_lossy(&body)),
    }
}
