//! A process of `distilbert serve`, and connections to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use test_support::generator::GeneratedModel;

use crate::support::program;

/// Time after which a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const READY: &str = "listening on http://";

/// Writes a small model, whose words are `w4` to `w119`, to a temporary folder.
pub fn small_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    GeneratedModel::small().write(folder.path());
    folder
}

/// A process that has said where it listens. It is killed when this is dropped.
pub struct Serving {
    pub address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    model: TempDir,
}

impl Serving {
    /// Starts the program with a small model and further arguments.
    pub fn small(arguments: &[&str]) -> Self {
        Self::start(arguments, |_| {})
    }

    /// Starts the program with a small model, after a change to its command.
    pub fn start(arguments: &[&str], configure: impl FnOnce(&mut Command)) -> Self {
        let model = small_model();
        let path = model.path().to_str().unwrap();
        let mut command = program(&["serve", "--model", path, "--port", "0"]);
        command.args(arguments).env_remove("DISTILBERT_API_KEY");
        configure(&mut command);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix(READY).unwrap_or_else(|| panic!("{line}")).to_owned();
        let log = Arc::new(Mutex::new(String::new()));
        let own = log.clone();
        let reader = thread::spawn(move || {
            for line in lines.lines() {
                *own.lock().unwrap() += &(line.unwrap() + "\n");
            }
        });
        Self { address, child, log, reader: Some(reader), model }
    }

    /// Returns the folder of the model.
    pub fn model(&self) -> &Path {
        self.model.path()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the process to end, and returns its exit status.
    pub fn wait(&mut self) -> Option<i32> {
        let status = wait_until(|| self.child.try_wait().unwrap());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.code()
    }

    /// Returns what the process has written to standard error since it was ready.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has a text a number of times.
    pub fn wait_for_log(&self, text: &str, count: usize) {
        wait_until(|| (self.log().matches(text).count() >= count).then_some(()));
    }

    pub fn connect(&self) -> Connection {
        Connection::new(&self.address)
    }

    /// Sends a request on a connection of its own.
    pub fn send(&self, request: &str) -> Response {
        let mut connection = self.connect();
        connection.send(request);
        connection.receive()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stops the threads that look at a flag, also if another client fails: the test would wait for them forever otherwise.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn wait_until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "it did not happen in time");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the bytes of a request with a body and further header lines.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

pub struct Response {
    pub status: u16,
    pub body: String,
}

/// A connection that is kept open.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes; fails if the server has closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the next response; its status is 0 if the server closed the connection instead.
    pub fn receive(&mut self) -> Response {
        let mut status = 0;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).is_err() || line.is_empty() {
                return Response { status: 0, body: String::new() };
            }
            let line = line.trim().to_lowercase();
            if line.is_empty() {
                break;
            } else if line.starts_with("http/") {
                status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Response { status, body: String::from_utf8(body).unwrap() }
    }
}
