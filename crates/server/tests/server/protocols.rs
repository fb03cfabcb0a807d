//! The shapes that clients of other servers send and expect.

use distilbert::Prediction;
use distilbert::explain::{ExplainOptions, Method, Target};
use serde_json::{Value, json};

use crate::client::{CLASSIFIER, start};

const TEXT: &str = "w7 w8 w9";

fn classify(text: &str) -> Prediction {
    CLASSIFIER.classify(text).unwrap()
}

/// Checks a list of labels and values against a prediction's scores or logits, bit by bit and in order.
fn assert_ranking(found: &Value, prediction: &Prediction, values: &[f32]) {
    let mut expected: Vec<(&String, f32)> =
        prediction.labels().iter().zip(values.iter().copied()).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    for (entry, (label, value)) in found.iter().zip(expected) {
        assert_eq!(entry["label"], label.as_str());
        assert_eq!((entry["score"].as_f64().unwrap() as f32).to_bits(), value.to_bits());
    }
}

#[test]
fn predict_answers_one_text_and_lists() {
    let server = start();
    let single = server.post("/predict", &json!({"inputs": TEXT}).to_string());
    let prediction = classify(TEXT);
    assert_ranking(&single.ok(), &prediction, prediction.scores());
    assert_eq!(single.header("x-compute-tokens"), Some("5"));
    assert_eq!(single.header("x-compute-characters"), Some("8"));
    for name in ["x-total-time", "x-queue-time", "x-inference-time", "x-tokenization-time"] {
        assert!(single.header(name).unwrap().parse::<u64>().is_ok(), "{name}");
    }
    assert!(single.header("x-request-id").is_some());
    for inputs in [json!(["w4", TEXT]), json!([["w4"], [TEXT]])] {
        for path in ["/", "/predict", "/invocations"] {
            let several = server.post(path, &json!({"inputs": inputs}).to_string()).ok();
            assert_eq!(several.as_array().unwrap().len(), 2);
            assert_ranking(&several[1], &prediction, prediction.scores());
        }
    }
    let raw = json!({"inputs": TEXT, "raw_scores": true, "truncate": null});
    assert_ranking(
        &server.post("/predict", &raw.to_string()).ok(),
        &prediction,
        prediction.logits(),
    );
}

#[test]
fn predict_truncates_as_requested() {
    let server = start();
    let words: Vec<String> = (4..60).map(|word| format!("w{word}")).collect();
    let (long, start, end) = (words.join(" "), words[..38].join(" "), words[18..].join(" "));
    let post = |parameters: Value| {
        let mut body = json!({"inputs": long});
        body.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
        server.post("/predict", &body.to_string())
    };
    for (direction, kept) in [("right", &start), ("left", &end), ("Left", &end)] {
        let found = post(json!({"truncate": true, "truncation_direction": direction})).ok();
        let prediction = classify(kept);
        assert_ranking(&found, &prediction, prediction.scores());
    }
    post(json!({})).ok();
    let message = post(json!({"truncate": false})).fails(422, "Validation");
    assert_eq!(message, "inputs: has 58 tokens, but the model takes at most 40");
}

#[test]
fn instances_get_predictions() {
    let server = start();
    let prediction = classify(TEXT);
    for instances in [json!([TEXT]), json!([{"inputs": TEXT}])] {
        for path in ["/", "/vertex", "/v1/models/small:predict"] {
            let body = json!({"instances": instances}).to_string();
            let found = server.post(path, &body).ok();
            assert_ranking(&found["predictions"][0], &prediction, prediction.scores());
        }
    }
}

#[test]
fn inference_api_applies_the_function() {
    let server = start();
    let prediction = classify(TEXT);
    let post = |parameters: Value| {
        let body = json!({"inputs": TEXT, "parameters": parameters});
        server.post("/models/small", &body.to_string()).ok()
    };
    for parameters in [json!(null), json!({}), json!({"function_to_apply": "softmax"})] {
        assert_ranking(&post(parameters)[0], &prediction, prediction.scores());
    }
    let none = post(json!({"function_to_apply": "none"}));
    assert_ranking(&none[0], &prediction, prediction.logits());
    let sigmoid = post(json!({"function_to_apply": "sigmoid", "top_k": 2}));
    assert_eq!(sigmoid[0].as_array().unwrap().len(), 2);
    let largest = prediction.logits().iter().copied().fold(f32::MIN, f32::max);
    let expected = 1.0 / (1.0 + f64::from(-largest).exp());
    assert!((sigmoid[0][0]["score"].as_f64().unwrap() - expected).abs() < 1e-6);
}

#[test]
fn open_inference_protocol_describes_and_infers() {
    let server = start();
    assert_eq!(server.get("/v2").ok()["name"], "distilbert");
    assert_eq!(server.get("/v2/health/live").ok(), json!({"live": true}));
    assert_eq!(server.get("/v2/health/ready").ok(), json!({"ready": true}));
    assert_eq!(server.get("/v2/models/small/ready").ok()["ready"], true);
    let model = server.get("/v2/models/small/versions/1").ok();
    assert_eq!(model["inputs"][0]["datatype"], "BYTES");
    assert_eq!(model["outputs"][2]["shape"], json!([-1, 7]));
    let (first, second) = (classify("w4"), classify(TEXT));
    let tensor =
        json!({"name": "text", "shape": [2, 1], "datatype": "BYTES", "data": [["w4"], [TEXT]]});
    let body = json!({"id": "abc", "inputs": [tensor]}).to_string();
    let found = server.post("/v2/models/small/infer", &body).ok();
    assert_eq!((&found["id"], &found["model_name"]), (&json!("abc"), &json!("small")));
    assert_eq!(found["outputs"][0]["data"], json!([first.label(), second.label()]));
    assert_eq!(found["outputs"][1]["data"], json!([first.index(), second.index()]));
    assert_eq!(found["outputs"][2]["shape"], json!([2, 7]));
    let bits = |values: &Value| -> Vec<u32> {
        let values = values.as_array().unwrap().iter();
        values.map(|value| (value.as_f64().unwrap() as f32).to_bits()).collect()
    };
    let expected = |values: fn(&Prediction) -> &[f32]| -> Vec<u32> {
        [&first, &second].iter().flat_map(|one| values(one)).map(|value| value.to_bits()).collect()
    };
    assert_eq!(bits(&found["outputs"][2]["data"]), expected(Prediction::scores));
    assert_eq!(found["outputs"].as_array().unwrap().len(), 3);
    let body = json!({"inputs": [tensor], "outputs": [{"name": "logits"}]}).to_string();
    let found = server.post("/v2/models/small/versions/1/infer", &body).ok();
    assert_eq!(found["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(bits(&found["outputs"][0]["data"]), expected(Prediction::logits));
    assert!(found.get("id").is_none());
}

#[test]
fn explain_answers_with_words_and_names_bad_parameters() {
    let server = start();
    let post = |parameters: Value| {
        server.post("/explain", &json!({"inputs": TEXT, "parameters": parameters}).to_string())
    };
    let found = post(json!({"method": "gradient-x-input", "target": "label 2"})).ok();
    assert_eq!(
        (&found["target"], &found["method"]),
        (&json!("label 2"), &json!("gradient-x-input"))
    );
    let options = ExplainOptions::default().method(Method::GradientXInput);
    let options = options.target(Target::label("label 2"));
    let expected = serde_json::to_string(&CLASSIFIER.explain(TEXT, &options).unwrap()).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(found["words"].as_array().unwrap().len(), 3);
    assert_eq!(found["words"], expected["words"]);
    for (parameters, field) in [
        (json!({"method": "magic"}), "parameters.method: "),
        (json!({"method": "integrated-gradients:101"}), "parameters.method: expected at most"),
        (json!({"against": "label 1"}), "parameters.against: "),
        (json!({"objective": 7}), "parameters.objective: "),
        (json!({"target": "nobody"}), ""),
    ] {
        let message = post(parameters).fails(400, "BadRequest");
        assert!(message.starts_with(field), "{message}");
    }
}

#[test]
fn info_describes_the_model() {
    let server = start();
    let info = server.get("/info").ok();
    assert_eq!(info["model_id"], "small");
    assert_eq!(info["model_type"]["classifier"]["id2label"]["3"], "label 3");
    assert_eq!(info["model_type"]["classifier"]["label2id"]["label 3"], 3);
    assert_eq!(
        (&info["max_input_length"], &info["max_client_batch_size"]),
        (&json!(40), &json!(32))
    );
}
