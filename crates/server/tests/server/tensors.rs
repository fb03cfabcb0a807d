//! Binary tensors, Triton's extension of the Open Inference Protocol.

use serde_json::{Value, json};

use crate::client::{CLASSIFIER, Running, start};

const TEXTS: [&str; 2] = ["w4", "w7 w8 w9"];

fn strings(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// Sends a header and binary data; returns the status, the header and the binary data of the answer.
fn infer(server: &Running, header: &Value, binary: &[u8]) -> (u16, Value, Vec<u8>) {
    let header = header.to_string();
    let line = format!("inference-header-content-length: {}\r\n", header.len());
    let body = [header.as_bytes(), binary].concat();
    let (response, body) = server.post_bytes("/v2/models/small/infer", &line, &body);
    let length = response.header("inference-header-content-length");
    let length = length.map_or(body.len(), |length| length.parse().unwrap());
    let (header, binary) = body.split_at(length);
    (response.status, serde_json::from_slice(header).unwrap(), binary.to_vec())
}

fn input(shape: &Value, binary: &[u8]) -> Value {
    json!({
        "name": "text", "shape": shape, "datatype": "BYTES",
        "parameters": {"binary_data_size": binary.len()},
    })
}

#[test]
fn binary_tensors_are_read_and_written() {
    let server = start();
    let binary = strings(&TEXTS);
    let header = json!({
        "inputs": [input(&json!([2, 1]), &binary)],
        "parameters": {"binary_data_output": true},
    });
    let (status, answer, found) = infer(&server, &header, &binary);
    assert_eq!(status, 200, "{answer}");
    let predictions = TEXTS.map(|text| CLASSIFIER.classify(text).unwrap());
    let labels = strings(&predictions.each_ref().map(|one| one.label()));
    let indices: Vec<u8> =
        predictions.iter().flat_map(|one| (one.index() as i64).to_le_bytes()).collect();
    let scores: Vec<u8> = predictions
        .iter()
        .flat_map(|one| one.scores())
        .flat_map(|score| score.to_le_bytes())
        .collect();
    for (output, expected) in
        answer["outputs"].as_array().unwrap().iter().zip([&labels, &indices, &scores])
    {
        assert_eq!(output["parameters"]["binary_data_size"], expected.len());
        assert!(output.get("data").is_none());
    }
    assert_eq!(found, [labels, indices, scores].concat());
}

#[test]
fn each_output_has_its_own_form() {
    let server = start();
    let binary = strings(&TEXTS);
    let header = json!({
        "inputs": [input(&json!([2]), &binary)],
        "outputs": [{"name": "label"}, {"name": "index", "parameters": {"binary_data": true}}],
    });
    let (status, answer, found) = infer(&server, &header, &binary);
    assert_eq!((status, found.len()), (200, 16));
    assert_eq!(answer["outputs"][0]["data"].as_array().unwrap().len(), 2);
    assert!(answer["outputs"][1].get("data").is_none());
}

#[test]
fn broken_binary_tensors_are_refused() {
    let server = start();
    let binary = strings(&TEXTS);
    let fails = |header: Value, binary: &[u8]| {
        let (status, answer, _) = infer(&server, &header, binary);
        assert_eq!((status, &answer["error_type"]), (400, &json!("BadRequest")));
        answer["error"].as_str().unwrap().to_owned()
    };
    let header = json!({"inputs": [input(&json!([2]), &binary)]});
    assert_eq!(
        fails(header.clone(), &binary[1..]),
        "inputs[0].parameters.binary_data_size: says 18 bytes, but 17 follow"
    );
    let cut = &binary[..9];
    let message = fails(json!({"inputs": [input(&json!([2]), cut)]}), cut);
    assert_eq!(message, "inputs[0].data[1]: the binary data ends early");
    let header = json!({"inputs": [input(&json!([3]), &binary)]});
    assert!(fails(header, &binary).starts_with("inputs[0].data: expected as many texts"));
    let invalid = [1, 0, 0, 0, 0xff];
    let message = fails(json!({"inputs": [input(&json!([1]), &invalid)]}), &invalid);
    assert_eq!(message, "inputs[0].data[0]: expected UTF-8");
    let long =
        server.post_with("/v2/models/small/infer", "inference-header-content-length: 5\r\n", b"{}");
    assert!(long.fails(400, "BadRequest").starts_with("inference-header-content-length: expected"));
}
