//! Further shapes: infinity, vLLM, lists of models, and tokens.

use serde_json::{Value, json};

use crate::client::{CLASSIFIER, start, start_models};

const TEXT: &str = "w7 w8 w9";

#[test]
fn classify_answers_in_the_shape_of_infinity() {
    let server = start();
    let response = server.post_with(
        "/classify",
        "x-request-id: abc-1\r\n",
        json!({"input": ["w4", TEXT]}).to_string().as_bytes(),
    );
    let found = response.ok();
    assert_eq!((&found["object"], &found["model"]), (&json!("classify"), &json!("small")));
    assert_eq!(found["id"], "abc-1");
    assert_eq!(found["usage"]["prompt_tokens"], 8);
    assert!(found["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    assert_eq!(found["data"][1][0]["label"], CLASSIFIER.classify(TEXT).unwrap().label());
    assert_eq!(response.header("x-compute-tokens"), Some("8"));
    let body = json!({"input": TEXT, "model": "other"}).to_string();
    server.post("/classify", &body).fails(404, "NotFound");
    assert_eq!(server.post("/classify", "{}").fails(400, "BadRequest"), "input: missing");
}

#[test]
fn classify_answers_in_the_shape_of_vllm() {
    let server = start();
    let prediction = CLASSIFIER.classify(TEXT).unwrap();
    let post = |body: Value| server.post("/vllm/classify", &body.to_string());
    let found = post(json!({"input": ["w4", TEXT], "model": "small"})).ok();
    assert_eq!(found["object"], "list");
    let second = &found["data"][1];
    assert_eq!((&second["index"], &second["num_classes"]), (&json!(1), &json!(7)));
    assert_eq!(second["label"], prediction.label());
    let numbers = |values: &Value| -> Vec<f32> {
        values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    assert_eq!(numbers(&second["probs"]), prediction.scores());
    for name in ["use_activation", "activation", "softmax"] {
        let raw = post(json!({"input": TEXT, name: false})).ok();
        assert_eq!(numbers(&raw["data"][0]["probs"]), prediction.logits());
    }
    let message = post(json!({"input": TEXT, "top_k": 1})).fails(400, "BadRequest");
    assert!(message.starts_with("top_k: "), "{message}");
}

#[test]
fn tokenize_tells_ids_and_places() {
    let server = start();
    let post = |body: Value| server.post("/tokenize", &body.to_string()).ok();
    let found = post(json!({"inputs": "w7  w8"}));
    let ids: Vec<u64> =
        found[0].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect();
    let encoding = CLASSIFIER.tokenizer().unwrap().encode("w7  w8").unwrap();
    let expected = CLASSIFIER.tokenizer().unwrap().with_special_tokens(&encoding.ids);
    assert_eq!(ids, expected.iter().map(|&id| u64::from(id)).collect::<Vec<_>>());
    let special =
        json!({"id": ids[0], "text": "[CLS]", "special": true, "start": null, "stop": null});
    assert_eq!(found[0][0], special);
    let word = json!({"id": ids[2], "text": "w8", "special": false, "start": 4, "stop": 6});
    assert_eq!(found[0][2], word);
    let bare = post(json!({"inputs": ["w7", ""], "add_special_tokens": false}));
    assert_eq!(bare[0].as_array().unwrap().len(), 1);
    assert_eq!(bare[1], json!([]));
    server.post("/tokenize", r#"{"inputs": []}"#).fails(400, "Empty");
    let flag = server.post("/tokenize", r#"{"inputs": "a", "add_special_tokens": 1}"#);
    assert!(flag.fails(400, "BadRequest").starts_with("add_special_tokens: expected"));
}

/// Places are in bytes, also beyond ASCII.
#[test]
fn tokens_are_parts_of_the_text() {
    let server = start();
    let text = "é w7 🎉 w8";
    let found = server.post("/tokenize", &json!({"inputs": text}).to_string()).ok();
    for token in found[0].as_array().unwrap() {
        let place = |name: &str| token[name].as_u64().map(|byte| byte as usize);
        if let (Some(start), Some(stop)) = (place("start"), place("stop")) {
            assert_eq!(token["text"], text[start..stop]);
        }
    }
}

#[test]
fn several_models_are_listed_and_chosen() {
    let server = start_models(&["first", "second"]);
    for path in ["/models", "/v1/models"] {
        let found = server.get(path).ok();
        assert_eq!(found["models"], json!(["first", "second"]));
        assert_eq!(found["data"][1]["id"], "second");
    }
    assert_eq!(server.get("/v2/models").ok(), json!({"models": ["first", "second"]}));
    let index = server.post("/v2/repository/index", "{}").ok();
    assert_eq!(index[1]["name"], "second");
    assert_eq!(server.get("/v1/models/second").ok(), json!({"name": "second", "ready": true}));
    server.get("/v1/models/third").fails(404, "NotFound");
    for (path, text) in [
        ("/predict", "inputs"),
        ("/tokenize", "inputs"),
        ("/explain", "inputs"),
        ("/classify", "input"),
    ] {
        let body = |model: &str| json!({text: TEXT, "model": model}).to_string();
        server.post(path, &body("second")).ok();
        let message = server.post(path, &body("third")).fails(404, "NotFound");
        assert_eq!(message, "there is no model `third`; this server has first, second");
    }
    let found = server.post("/classify", &json!({"input": TEXT}).to_string()).ok();
    assert_eq!(found["model"], "first");
}

#[test]
fn open_inference_ranks_the_best_labels() {
    let server = start();
    let prediction = CLASSIFIER.classify(TEXT).unwrap();
    let tensor = json!({"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]});
    let body = json!({"inputs": [tensor], "parameters": {"top_k": 2, "raw_scores": true}});
    let found = server.post("/v2/models/small/infer", &body.to_string()).ok();
    let output = |index: usize| &found["outputs"][index];
    let best = prediction.top_k(2);
    assert_eq!(output(0)["data"], json!([best[0].0, best[1].0]));
    assert_eq!(output(0)["shape"], json!([1, 2]));
    assert_eq!(output(1)["data"][0], prediction.index());
    let logit = prediction.logits()[prediction.index()];
    assert_eq!(output(2)["data"][0].as_f64().unwrap() as f32, logit);
}
