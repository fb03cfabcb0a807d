//! A running server and a client that writes its own HTTP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use distilbert::Classifier;
use distilbert::batcher::BatcherBuilder;
use distilbert_server::{Model, Server, ServerError, Settings};
use serde_json::Value;
use test_support::generator::GeneratedModel;
use tokio::sync::oneshot;

/// A small model, whose words are `w4` to `w119`, one token each, and which takes 40 tokens.
pub static CLASSIFIER: LazyLock<Arc<Classifier>> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    Arc::new(Classifier::builder(folder.path()).threads(1).build().unwrap())
});

/// Returns settings with an address that the system chooses.
pub fn settings() -> Settings {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    Settings { address, ..Settings::default() }
}

/// A server that is stopped when this is dropped.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

pub fn start() -> Running {
    start_with(settings(), |queue| queue)
}

pub fn start_with(
    settings: Settings,
    configure: impl FnOnce(BatcherBuilder) -> BatcherBuilder,
) -> Running {
    let model = Model::with_queue("small", CLASSIFIER.clone(), configure).unwrap();
    run(vec![model], settings)
}

/// Starts a server of several models, which differ only in their names.
pub fn start_models(names: &[&str]) -> Running {
    let model = |name: &&str| Model::new(*name, CLASSIFIER.clone()).unwrap();
    run(names.iter().map(model).collect(), settings())
}

fn run(models: Vec<Model>, settings: Settings) -> Running {
    let server = Server::bind(models, settings).unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let serve = move || server.run_until(async move { drop(stopped.await) });
    Running { address, stop: Some(stop), thread: Some(std::thread::spawn(serve)) }
}

impl Running {
    /// Tells the server to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the server to end.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
    }

    pub fn post(&self, path: &str, body: &str) -> Response {
        self.post_with(path, "", body.as_bytes())
    }

    /// Posts a body with further header lines.
    pub fn post_with(&self, path: &str, headers: &str, body: &[u8]) -> Response {
        receive(self.begin_post(path, headers, body))
    }

    /// Posts a body, and returns the head and the bytes of the answer.
    pub fn post_bytes(&self, path: &str, headers: &str, body: &[u8]) -> (Response, Vec<u8>) {
        let mut bytes = Vec::new();
        let _ = self.begin_post(path, headers, body).read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let body = bytes.split_off(end + 4);
        (Response::parse(String::from_utf8(bytes).unwrap()), body)
    }

    fn begin_post(&self, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        let mut connection = self.connect();
        connection.write_all(head.as_bytes()).unwrap();
        // A server that refuses the body may close the connection before it is sent.
        let _ = connection.write_all(body);
        connection
    }

    pub fn send(&self, request: &str) -> Response {
        let mut connection = self.connect();
        connection.write_all(request.as_bytes()).unwrap();
        receive(connection)
    }

    pub fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        connection
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            self.join();
        }
    }
}

pub struct Response {
    pub status: u16,
    head: String,
    pub body: String,
}

/// Reads a response until the server closes the connection.
pub fn receive(mut connection: TcpStream) -> Response {
    let mut bytes = Vec::new();
    // A reset after the response doesn't matter.
    let _ = connection.read_to_end(&mut bytes);
    Response::parse(String::from_utf8(bytes).unwrap())
}

impl Response {
    fn parse(text: String) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.head, self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| -> bool { line.split(':').next() == Some(name) };
        let line = self.head.lines().find(|line| value(line))?;
        line.split_once(": ").map(|pair| pair.1)
    }

    /// Checks the status and the code of an error, and returns its message.
    #[track_caller]
    pub fn fails(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        let json = self.json();
        assert_eq!(json["error_type"], code, "{json}");
        json["error"].as_str().unwrap().to_owned()
    }

    /// Returns the body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{} {}", self.head, self.body);
        self.json()
    }
}
