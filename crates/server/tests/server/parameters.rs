//! Every endpoint that predicts takes the same parameters, at the top level and in `parameters`.

use serde_json::{Map, Value, json};

use crate::client::{CLASSIFIER, Running, start};

const TEXT: &str = "w7 w8 w9";

/// Requests for the prediction of a text: the path, the body, and where the answer has the ranking of the text.
fn endpoints(text: &str) -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("/predict", json!({"inputs": text}), ""),
        ("/", json!({"inputs": text}), ""),
        ("/", json!({"inputs": text, "parameters": {}}), "/0"),
        ("/invocations", json!({"inputs": [text]}), "/0"),
        ("/models/small", json!({"inputs": text}), "/0"),
        ("/classify", json!({"input": text, "model": "small"}), "/data/0"),
        ("/vertex", json!({"instances": [text]}), "/predictions/0"),
        ("/vertex", json!({"instances": [{"inputs": [text]}]}), "/predictions/0/0"),
        ("/v1/models/small:predict", json!({"instances": [[text]]}), "/predictions/0"),
    ]
}

fn with(body: &Value, parameters: &Value) -> String {
    let mut body = body.clone();
    let fields: Map<String, Value> = parameters.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body.to_string()
}

fn nested(body: &Value, parameters: &Value) -> String {
    with(body, &json!({"parameters": parameters}))
}

/// Checks that each endpoint, given the parameters in either place, ranks some scores.
fn assert_ranks(server: &Running, parameters: &Value, scores: &[f32], count: usize) {
    let mut expected: Vec<f32> = scores.to_vec();
    expected.sort_by(|a, b| b.total_cmp(a));
    expected.truncate(count);
    for (path, body, place) in endpoints(TEXT) {
        for body in [with(&body, parameters), nested(&body, parameters)] {
            // In `/`, `parameters` ask for the shape of the inference API.
            let place = if path == "/" && body.contains("parameters") { "/0" } else { place };
            let answer = server.post(path, &body).ok();
            let ranking = answer.pointer(place).unwrap().as_array().unwrap();
            let found = ranking.iter().map(|one| one["score"].as_f64().unwrap() as f32);
            assert_eq!(found.collect::<Vec<_>>(), expected, "{path} {body}");
        }
    }
}

#[test]
fn raw_scores_and_functions_are_obeyed_everywhere() {
    let server = start();
    let prediction = CLASSIFIER.classify(TEXT).unwrap();
    let all = usize::MAX;
    assert_ranks(&server, &json!({}), prediction.scores(), all);
    assert_ranks(&server, &json!({"raw_scores": false}), prediction.scores(), all);
    assert_ranks(&server, &json!({"raw_scores": true}), prediction.logits(), all);
    assert_ranks(&server, &json!({"function_to_apply": "none"}), prediction.logits(), all);
    let sigmoid = prediction.scores_as(distilbert::ProblemType::MultiLabelClassification);
    assert_ranks(&server, &json!({"function_to_apply": "sigmoid"}), &sigmoid, all);
    assert_ranks(&server, &json!({"raw_scores": true, "top_k": 2}), prediction.logits(), 2);
}

#[test]
fn truncation_is_obeyed_everywhere() {
    let server = start();
    let words: Vec<String> = (4..60).map(|word| format!("w{word}")).collect();
    let (long, end) = (words.join(" "), words[18..].join(" "));
    let expected = CLASSIFIER.classify(&end).unwrap().score();
    for (path, body, place) in endpoints(&long) {
        let place = format!("{}/0/score", if path == "/" { "/0" } else { place });
        let left = server.post(path, &nested(&body, &json!({"truncation_direction": "left"}))).ok();
        let found = left.pointer(&place).unwrap().as_f64().unwrap() as f32;
        assert_eq!(found, expected, "{path}");
        for body in
            [with(&body, &json!({"truncate": false})), nested(&body, &json!({"truncate": false}))]
        {
            let message = server.post(path, &body).fails(422, "Validation");
            assert!(
                message.ends_with("has 58 tokens, but the model takes at most 40"),
                "{message}"
            );
        }
    }
    let explain = |parameters: Value| {
        server.post("/explain", &json!({"inputs": long, "parameters": parameters}).to_string())
    };
    let left = explain(json!({"truncation_direction": "left"})).ok();
    assert_eq!(left["words"][0]["text"], words[18].as_str());
    let message = explain(json!({"truncate": false})).fails(422, "Validation");
    assert_eq!(message, "inputs: has 58 tokens, but the model takes at most 40");
}

#[test]
fn bad_parameters_are_named_everywhere() {
    let server = start();
    for (parameters, field) in [
        (json!({"top_k": 0}), "top_k: expected a whole number"),
        (json!({"raw_scores": "yes"}), "raw_scores: expected true or false"),
        (json!({"function_to_apply": "max"}), "function_to_apply: expected `softmax`"),
        (json!({"truncation_direction": "up"}), "truncation_direction: expected `left`"),
    ] {
        for (path, body, _) in endpoints(TEXT) {
            let message = server.post(path, &with(&body, &parameters)).fails(400, "BadRequest");
            assert!(message.starts_with(field), "{path}: {message}");
            let message = server.post(path, &nested(&body, &parameters)).fails(400, "BadRequest");
            assert!(message.starts_with(&format!("parameters.{field}")), "{path}: {message}");
        }
    }
}

#[test]
fn instances_have_parameters_of_their_own() {
    let server = start();
    let instances = json!([
        TEXT,
        {"inputs": TEXT, "top_k": 1},
        {"inputs": ["w4", TEXT], "raw_scores": true, "top_k": 3},
        {"inputs": TEXT, "raw_scores": false},
    ]);
    let body = json!({"instances": instances, "parameters": {"top_k": 2, "raw_scores": true}});
    let found = server.post("/vertex", &body.to_string()).ok();
    let prediction = CLASSIFIER.classify(TEXT).unwrap();
    let score = |place: &str| found.pointer(place).unwrap()["score"].as_f64().unwrap() as f32;
    let length = |place: &str| found.pointer(place).unwrap().as_array().unwrap().len();
    let largest = prediction.logits().iter().copied().fold(f32::MIN, f32::max);
    assert_eq!((length("/predictions/0"), score("/predictions/0/0")), (2, largest));
    assert_eq!((length("/predictions/1"), score("/predictions/1/0")), (1, largest));
    assert_eq!((length("/predictions/2/1"), score("/predictions/2/1/0")), (3, largest));
    assert_eq!(score("/predictions/3/0"), prediction.score());
    for (instances, expected) in [
        (json!(7), "instances: expected a list, found a number"),
        (json!([TEXT, {"inputs": [7]}]), "instances[1].inputs[0]: expected a string"),
        (json!([{"inputs": TEXT, "top_k": 0}]), "instances[0].top_k: expected"),
        (json!([{}]), "instances[0].inputs: expected"),
    ] {
        let body = json!({"instances": instances}).to_string();
        let message = server.post("/vertex", &body).fails(400, "BadRequest");
        assert!(message.starts_with(expected), "{message}");
    }
    let long = json!({"instances": ["w4", {"inputs": "w4 ".repeat(60), "truncate": false}]});
    let message = server.post("/vertex", &long.to_string()).fails(422, "Validation");
    assert!(message.starts_with("instances[1].inputs: has 62 tokens"), "{message}");
}
