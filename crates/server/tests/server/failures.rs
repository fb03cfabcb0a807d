//! Bad requests get an error with a stable code, and harm nobody else.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use distilbert_server::Settings;
use serde_json::json;

use crate::client::{settings, start, start_with};

#[test]
fn bad_bodies_name_the_field() {
    let server = start();
    let cases = [
        ("{", "the body is not valid JSON"),
        ("[]", "the body: expected an object, found a list"),
        ("{}", "inputs: missing"),
        (r#"{"inputs": 7}"#, "inputs: expected a string or a list of strings, found a number"),
        (r#"{"inputs": ["a", {}]}"#, "inputs[1]: expected a string, found an object"),
        (r#"{"inputs": "a", "truncate": 1}"#, "truncate: expected true or false, found a number"),
        (r#"{"inputs": "a", "truncation_direction": "up"}"#, "truncation_direction: expected"),
    ];
    for (body, expected) in cases {
        let message = server.post("/predict", body).fails(400, "BadRequest");
        assert!(message.starts_with(expected), "{message}");
    }
    let bytes = server.post_with("/predict", "", b"{\"inputs\": \"\xff\"}");
    assert!(bytes.fails(400, "BadRequest").contains("not valid JSON"));
    let deep = server.post("/predict", &"[".repeat(100_000));
    assert!(deep.fails(400, "BadRequest").contains("recursion limit"));
    for body in [r#"{"inputs": []}"#, r#"{"inputs": ""}"#, r#"{"inputs": ["a", ""]}"#] {
        server.post("/predict", body).fails(400, "Empty");
    }
    let pair = server.post("/predict", r#"{"inputs": [["a", "b"]]}"#);
    assert!(pair.fails(422, "Validation").starts_with("inputs[0]: pairs"));
}

#[test]
fn bad_tensors_name_the_field() {
    let server = start();
    let infer = |tensor: serde_json::Value| {
        let body = json!({"inputs": [tensor]}).to_string();
        server.post("/v2/models/small/infer", &body).fails(400, "BadRequest")
    };
    let integers = json!({"name": "a", "shape": [1], "datatype": "INT64", "data": [1]});
    assert_eq!(infer(integers), "inputs[0].datatype: expected BYTES, found `INT64`");
    let short = json!({"name": "a", "shape": [2], "datatype": "BYTES", "data": ["a"]});
    assert!(infer(short).starts_with("inputs[0].data: expected as many"));
    let wide = json!({"name": "a", "shape": [1, 2], "datatype": "BYTES", "data": ["a", "b"]});
    assert!(infer(wide).starts_with("inputs[0].shape: expected"));
    let body = r#"{"inputs": [{"shape": [1], "datatype": "BYTES", "data": ["a"]}], "outputs": [{"name": "x"}]}"#;
    let message = server.post("/v2/models/small/infer", body).fails(400, "BadRequest");
    assert!(message.starts_with("outputs[0].name: expected one of label"), "{message}");
}

#[test]
fn unknown_paths_methods_and_models_are_json() {
    let server = start();
    server.get("/nothing").fails(404, "NotFound");
    server.get("/predict").fails(405, "MethodNotAllowed");
    let message = server.post("/models/other", r#"{"inputs": "a"}"#).fails(404, "NotFound");
    assert_eq!(message, "there is no model `other`; this server has small");
    server.get("/v2/models/other").fails(404, "NotFound");
    server.get("/v2/models/small/versions/2").fails(404, "NotFound");
}

#[test]
fn requests_are_limited_in_size() {
    let settings = Settings { max_body_bytes: 1000, max_texts: 3, ..settings() };
    let server = start_with(settings, |queue| queue);
    let body = json!({"inputs": "w4 ".repeat(500)}).to_string();
    server.post("/predict", &body).fails(413, "TooLarge");
    let chunked = format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    server.send(&chunked).fails(413, "TooLarge");
    let many = server.post("/predict", r#"{"inputs": ["a", "b", "c", "d"]}"#);
    assert_eq!(
        many.fails(422, "Validation"),
        "inputs: has 4 texts, but a request may have at most 3"
    );
    server.post("/predict", r#"{"inputs": ["a", "b", "c"]}"#).ok();
}

/// The panic stands for a defect of the engine.
#[test]
fn a_panicking_worker_fails_its_request_alone() {
    let server = start_with(settings(), |queue| {
        queue.workers(1).before_batch(|batch| assert!(!batch.input_ids().contains(&66)))
    });
    for _ in 0..3 {
        let message = server.post("/predict", r#"{"inputs": "w66"}"#).fails(500, "Backend");
        assert!(message.starts_with("the worker panicked"), "{message}");
        server.post("/predict", r#"{"inputs": "w67"}"#).ok();
    }
}

#[test]
fn a_full_queue_is_429_and_a_late_answer_504() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let own = gate.clone();
    let settings = Settings { request_timeout: Duration::from_millis(300), ..settings() };
    let server = start_with(settings, |queue| {
        queue.workers(1).max_queued_requests(1).before_batch(move |_| {
            let is_open = own.0.lock().unwrap();
            drop(own.1.wait_while(is_open, |is_open| !*is_open).unwrap());
        })
    });
    let body = r#"{"inputs": ["w4", "w5", "w6"]}"#;
    let overloaded = server.post("/predict", body);
    overloaded.fails(429, "Overloaded");
    assert_eq!(overloaded.header("retry-after"), Some("1"));
    server.post("/predict", r#"{"inputs": "w4"}"#).fails(504, "Timeout");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    // The requests that were given up are not in the way.
    server.post("/predict", r#"{"inputs": "w4"}"#).ok();
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("te_request_failure{err=\"Overloaded\"} 1"), "{metrics}");
    assert!(metrics.contains("te_request_failure{err=\"Timeout\"} 1"), "{metrics}");
}
