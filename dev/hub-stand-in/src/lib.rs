//! A stand-in for the Hugging Face Hub on the loopback interface, with faults on demand.
//!
//! It answers the requests that a download needs: the description and the tree of a revision, the headers of a file,
//! and its contents. Weights are large files: their address redirects to a signed address on a second port, as the
//! hub redirects to its content network. All requests are logged.

#![allow(missing_docs, reason = "for tests only")]

mod answer;
mod connection;
mod sha256;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub use self::sha256::sha256;

/// Running hub. Its threads end with the process.
pub struct HubStandIn {
    hub: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// Request that the Hub or its content network received.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path with its query.
    pub path: String,
    pub authorization: Option<String>,
    pub range: Option<String>,
    /// `true` if the content network received it.
    pub is_contents: bool,
}

/// Deviation from a hub's normal answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with a status and no contents.
    Status(u16),
    /// Closes the connection before it answers.
    Hangup,
    /// Closes the connection after some bytes of the contents.
    CloseAfter(usize),
    /// Announces and sends only some bytes of the contents.
    Short(usize),
    /// Sends a further byte and announces it.
    Long,
    /// Inverts the last byte of the contents.
    Corrupt,
    /// Waits before it answers.
    Delay(Duration),
    /// Sends all contents if a range is requested.
    IgnoreRange,
    /// Sends another header: its name and its value, or none to leave it out.
    Header(&'static str, Option<String>),
}

#[derive(Default)]
struct State {
    contents: Option<SocketAddr>,
    repositories: BTreeMap<String, Repository>,
    renamed: BTreeMap<String, String>,
    faults: Vec<Planned>,
    requests: Vec<Request>,
}

struct Planned {
    /// Part of `METHOD PATH`.
    request: String,
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct Repository {
    /// Files of each commit.
    commits: BTreeMap<String, BTreeMap<String, StoredFile>>,
    /// Commit of each branch and tag.
    revisions: BTreeMap<String, String>,
    token: Option<String>,
    is_gated: bool,
}

#[derive(Clone)]
struct StoredFile {
    bytes: Arc<Vec<u8>>,
    sha256: String,
    is_large: bool,
}

impl HubStandIn {
    /// Starts a hub without models.
    pub fn start() -> Self {
        let [hub, contents] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [hub_address, contents_address] =
            [&hub, &contents].map(|listener| listener.local_addr().unwrap());
        let state =
            Arc::new(Mutex::new(State { contents: Some(contents_address), ..State::default() }));
        for (listener, is_contents) in [(hub, false), (contents, true)] {
            let state = state.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    thread::spawn(move || connection::serve(stream, &state, is_contents));
                }
            });
        }
        Self { hub: hub_address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Commits files to a branch of a model, in place of those that were there, and returns the commit.
    pub fn publish(&self, id: &str, branch: &str, files: &[(&str, &[u8])]) -> String {
        let files: BTreeMap<String, StoredFile> = files
            .iter()
            .map(|&(name, bytes)| {
                let is_large =
                    [".safetensors", ".h5", ".bin"].iter().any(|end| name.ends_with(end));
                let bytes = Arc::new(bytes.to_owned());
                (name.to_owned(), StoredFile { sha256: sha256(&bytes), bytes, is_large })
            })
            .collect();
        let names: String = files.iter().map(|(name, file)| name.clone() + &file.sha256).collect();
        let commit = sha256(names.as_bytes())[..40].to_owned();
        let mut state = self.state();
        let repository = state.repositories.entry(id.to_owned()).or_default();
        repository.commits.insert(commit.clone(), files);
        repository.revisions.insert(branch.to_owned(), commit.clone());
        commit
    }

    /// Commits the files of a folder to the branch `main`, and returns the commit.
    pub fn publish_folder(&self, id: &str, folder: &Path) -> String {
        let read = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            entry.path().is_file().then(|| (name, fs::read(entry.path()).unwrap()))
        };
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let files: Vec<(String, Vec<u8>)> = entries.filter_map(read).collect();
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        self.publish(id, "main", &files)
    }

    /// Hides a model from requests without a token.
    pub fn require_token(&self, id: &str, token: &str) {
        self.state().repositories.get_mut(id).unwrap().token = Some(token.to_owned());
    }

    /// Requires that a model's conditions be accepted.
    pub fn gate(&self, id: &str) {
        self.state().repositories.get_mut(id).unwrap().is_gated = true;
    }

    /// Redirects a model's old name to its new one.
    pub fn rename(&self, old: &str, new: &str) {
        let mut state = self.state();
        let repository = state.repositories.remove(old).unwrap();
        state.repositories.insert(new.to_owned(), repository);
        state.renamed.insert(old.to_owned(), new.to_owned());
    }

    /// Deviates in the next answers to requests whose method and path contain a text, such as `GET /blob/`.
    pub fn fail(&self, request: &str, fault: Fault, times: usize) {
        self.state().faults.push(Planned { request: request.to_owned(), fault, times });
    }

    /// Returns all requests, and forgets them.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }
}

impl State {
    /// Logs a request and returns its faults.
    fn receive(&mut self, request: &Request) -> Vec<Fault> {
        self.requests.push(request.clone());
        let line = format!("{} {}", request.method, request.path);
        let mut faults = Vec::new();
        for planned in &mut self.faults {
            if planned.times > 0 && line.contains(&planned.request) {
                planned.times -= 1;
                faults.push(planned.fault.clone());
            }
        }
        faults
    }
}
