//! The process of `distilbert serve`: start, signals, reload and logs.

mod hostile;
mod serving;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use test_support::generator::GeneratedModel;

use self::serving::{Connection, Serving, StopOnDrop, post};
use crate::support::{failed_with_one_line, run, stderr};

const BODY: &str = r#"{"inputs": "w4 w5 w6"}"#;

/// Writes a model whose weights follow from a seed.
fn write_model(folder: &Path, seed: u64) {
    GeneratedModel::new(GeneratedModel::small().config, seed).write(folder);
}

/// Starts a request and returns once the server waits for its body.
fn begun(server: &Serving) -> Connection {
    let mut connection = server.connect();
    connection.send(format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    ));
    assert_eq!(connection.receive().status, 100);
    connection
}

/// Waits until the server has closed its listener.
fn wait_until_closed(server: &Serving) {
    while TcpStream::connect(&server.address).is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sigterm_finishes_requests_in_progress() {
    let mut server = Serving::small(&[]);
    let mut connection = begun(&server);
    server.signal("TERM");
    wait_until_closed(&server);
    connection.send(BODY);
    assert_eq!(connection.receive().status, 200);
    assert_eq!(server.wait(), Some(0));
    assert!(server.log().contains("finishing requests in progress"));
}

#[test]
fn the_grace_period_ends_a_request_that_does_not_end() {
    let mut server = Serving::small(&["--grace-period", "1"]);
    let _connection = begun(&server);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(server.log().contains("the grace period ended"), "{}", server.log());
}

#[test]
fn a_second_sigterm_ends_the_grace_period() {
    let mut server = Serving::small(&["--grace-period", "600"]);
    let _connection = begun(&server);
    server.signal("TERM");
    wait_until_closed(&server);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(server.log().contains("stopped again"), "{}", server.log());
}

#[test]
fn an_address_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = serving::small_model();
    let model = folder.path().to_str().unwrap();
    let output = run(&["serve", "--model", model, "--port", &port]);
    let line = failed_with_one_line(&output, 2);
    assert!(line.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{line}");
    assert!(line.contains("in use"), "{line}");
}

#[test]
fn logs_have_no_user_text() {
    let mut server = Serving::small(&["--log-json"]);
    let bodies =
        [r#"{"inputs": "hush7 w4"}"#, r#"{"inputs": ["hush7"#, r#"{"inputs": {"hush7": 1}}"#];
    for body in bodies {
        for path in ["/predict?hush7=hush7", "/models/hush7", "/hush7"] {
            server.send(&post(path, "x-hush7: hush7\r\ncookie: hush7\r\n", body));
        }
    }
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let log = server.log();
    let requests = log.lines().filter(|line| line.contains("\"status\"")).count();
    assert_eq!(requests, 9, "{log}");
    assert!(!log.contains("hush7"), "{log}");
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn the_key_comes_from_a_file_or_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "from-file\n").unwrap();
    let status = |server: &Serving, key: &str| {
        let header = format!("authorization: Bearer {key}\r\n");
        server.send(&post("/predict", &header, BODY)).status
    };
    let server = Serving::start(&["--api-key-file", file.to_str().unwrap()], |command| {
        command.env("DISTILBERT_API_KEY", "from-environment");
    });
    assert_eq!(status(&server, "from-file"), 200);
    assert_eq!(status(&server, "from-environment"), 401);
    let server = Serving::start(&[], |command| {
        command.env("DISTILBERT_API_KEY", "from-environment");
    });
    assert_eq!(status(&server, "from-environment"), 200);
    assert_eq!(status(&server, ""), 401);
    std::fs::write(&file, "\n").unwrap();
    let model = serving::small_model();
    let arguments = ["serve", "--model", model.path().to_str().unwrap(), "--api-key-file"];
    let output = run(&[&arguments[..], &[file.to_str().unwrap()]].concat());
    assert!(failed_with_one_line(&output, 2).contains("no key"), "{}", stderr(&output));
}

/// Answers with the old weights, the new ones, and never with a failure.
#[test]
fn sighup_reloads_without_a_dropped_request() {
    let server = Serving::small(&[]);
    let folder = server.model();
    let old = server.send(&post("/predict", "", BODY)).body;
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = || {
            let mut connection = server.connect();
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                connection.send(post("/predict", "", BODY));
                let response = connection.receive();
                assert_eq!(response.status, 200, "{}", response.body);
                answers.push(response.body);
            }
            answers
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        let stop = StopOnDrop(&stopped);
        let mut expected = vec![old];
        for seed in [6, 7, 8] {
            write_model(folder, seed);
            server.signal("HUP");
            server.wait_for_log("reloaded the model", expected.len());
            let new = server.send(&post("/predict", "", BODY)).body;
            assert!(!expected.contains(&new), "the weights of seed {seed} don't answer");
            expected.push(new);
        }
        std::fs::write(folder.join("model.safetensors"), "broken").unwrap();
        server.signal("HUP");
        server.wait_for_log("cannot reload the model", 1);
        assert_eq!(&server.send(&post("/predict", "", BODY)).body, expected.last().unwrap());
        drop(stop);
        for client in clients {
            let mut answers = client.join().unwrap();
            answers.dedup();
            let known = answers.iter().all(|answer| expected.contains(answer));
            assert!(known, "an answer has neither the old weights nor the new ones");
            assert_eq!(answers.last(), expected.last());
        }
    });
}
