//! Keys, metrics, slow clients and the end of a server.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use distilbert::{Classifier, Error, InputError, ModelBytes};
use distilbert_server::{Model, Server, ServerError, Settings};

use crate::client::{CLASSIFIER, receive, settings, start, start_with};

const BODY: &str = r#"{"inputs": "w4 w5"}"#;

#[test]
fn a_key_is_required_except_for_health_and_metrics() {
    let settings = Settings { api_key: Some("secret".to_owned()), ..settings() };
    assert!(!format!("{settings:?}").contains("secret"));
    let server = start_with(settings, |queue| queue);
    for path in ["/health", "/ping", "/metrics", "/v2/health/live", "/v2/health/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let refused = server.post("/predict", BODY);
    refused.fails(401, "Unauthorized");
    assert_eq!(refused.header("www-authenticate"), Some("bearer"));
    for key in ["Bearer secre", "Bearer secrets", "Bearer Secret", "secret", "Bearer "] {
        let header = format!("authorization: {key}\r\n");
        server.post_with("/predict", &header, BODY.as_bytes()).fails(401, "Unauthorized");
    }
    server.post_with("/predict", "authorization: Bearer secret\r\n", BODY.as_bytes()).ok();
    server.get("/info").fails(401, "Unauthorized");
}

#[test]
fn request_ids_come_back() {
    let server = start();
    let response = server.post_with("/predict", "x-request-id: abc-1\r\n", BODY.as_bytes());
    assert_eq!(response.header("x-request-id"), Some("abc-1"));
    let long = format!("x-request-id: {}\r\n", "a".repeat(200));
    let response = server.post_with("/predict", &long, BODY.as_bytes());
    assert!(response.header("x-request-id").unwrap().len() < 100);
}

#[test]
fn metrics_count_requests_and_texts() {
    let server = start();
    for _ in 0..3 {
        server.post("/predict", BODY).ok();
    }
    server.post("/predict", "{").fails(400, "BadRequest");
    let metrics = server.get("/metrics");
    let has = |line: &str| {
        assert!(metrics.body.lines().any(|found| found == line), "{line}\n{}", metrics.body)
    };
    has("te_request_count 4");
    has("te_request_success 3");
    has("te_request_failure{err=\"BadRequest\"} 1");
    has("te_request_duration_count 4");
    has("te_request_input_length_sum 12");
    has("te_queue_size{model=\"small\"} 0");
    has("distilbert_texts_completed{model=\"small\"} 3");
    has("te_request_queue_duration_count{model=\"small\"} 3");
    has("te_batch_next_tokens_bucket{model=\"small\",le=\"+Inf\"} 3");
    assert_eq!(metrics.body.matches("# TYPE te_batch_next_tokens histogram").count(), 1);
}

#[test]
fn slow_clients_are_cut_off() {
    let short = Duration::from_millis(200);
    let settings = Settings { header_timeout: short, body_timeout: short, ..settings() };
    let server = start_with(settings, |queue| queue);
    let mut header = server.connect();
    header.write_all(b"POST /predict HTTP/1.1\r\n").unwrap();
    let mut body = server.connect();
    body.write_all(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{").unwrap();
    let idle = server.connect();
    receive(body).fails(408, "RequestTimeout");
    assert!(matches!(receive(header).status, 0 | 408));
    assert_eq!(receive(idle).status, 0);
}

#[test]
fn idle_connections_keep_others_waiting_only_for_a_while() {
    let settings =
        Settings { max_connections: 2, header_timeout: Duration::from_millis(200), ..settings() };
    let server = start_with(settings, |queue| queue);
    let _idle: Vec<_> = (0..6).map(|_| server.connect()).collect();
    server.post("/predict", BODY).ok();
}

/// The worker holds the request until the server has been told to stop.
#[test]
fn a_stopped_server_finishes_what_it_has_begun() {
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let mut server = start_with(settings(), move |queue| {
        queue.workers(1).before_batch(move |_| {
            begun.send(()).unwrap();
            let _ = goes.lock().unwrap().recv();
        })
    });
    let mut connection = server.connect();
    let request = format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    connection.write_all(request.as_bytes()).unwrap();
    begins.recv().unwrap();
    server.stop();
    // New connections are refused once the listener is closed.
    while std::net::TcpStream::connect(server.address).is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(go);
    receive(connection).ok();
    server.join();
}

/// The worker is held by the first request while the client of the second goes away.
#[test]
fn a_request_whose_client_has_gone_is_canceled() {
    let (begun, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let server = start_with(settings(), move |queue| {
        queue.workers(1).before_batch(move |_| {
            let _ = begun.send(());
            let _ = goes.lock().unwrap().recv();
        })
    });
    let request = format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let post = || {
        let mut connection = server.connect();
        connection.write_all(request.as_bytes()).unwrap();
        connection
    };
    let queued = |count: usize| {
        let line = format!("te_queue_size{{model=\"small\"}} {count}");
        while !server.get("/metrics").body.contains(&line) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let first = post();
    begins.recv().unwrap();
    let second = post();
    queued(1);
    drop(second);
    // Gives the server time to notice.
    std::thread::sleep(Duration::from_millis(300));
    drop(go);
    receive(first).ok();
    queued(0);
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("distilbert_texts_canceled{model=\"small\"} 1"), "{metrics}");
}

#[test]
fn servers_need_models_with_names_of_their_own() {
    assert!(matches!(Server::bind(Vec::new(), settings()), Err(ServerError::NoModels)));
    let model = || Model::new("same", CLASSIFIER.clone()).unwrap();
    let error = Server::bind(vec![model(), model()], settings()).unwrap_err();
    assert_eq!(error.to_string(), "two models have the name `same`");
}

#[test]
fn a_model_without_tokenizer_is_refused() {
    let folder = test_support::bundled_model();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = ModelBytes::new()
        .file("config.json", read("config.json"))
        .file("model.safetensors", read("model.safetensors"));
    let classifier = Classifier::builder_from(files).threads(1).build().unwrap();
    let error = Model::new("bare", classifier).unwrap_err();
    assert!(matches!(error, Error::Input(InputError::NoTokenizer)));
}
