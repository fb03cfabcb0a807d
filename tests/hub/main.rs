//! Models of the Hub, against a stand-in for it on the loopback interface.

mod cache;
mod failures;
mod models;
mod transfers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use distilbert::hub::{HubOptions, snapshot_download};
use distilbert::{Error, HubError, Result};
use hub_stand_in::{HubStandIn, Request};
use tempfile::TempDir;

const ID: &str = "org/name";

/// Contents that stand for weights: nothing loads them.
static WEIGHTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..400_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
});

/// Files of a model, and others that the Hub also has.
fn files() -> Vec<(&'static str, &'static [u8])> {
    vec![
        (".gitattributes", b"*.safetensors filter=lfs"),
        ("README.md", b"# A model"),
        ("config.json", b"{}"),
        ("model.safetensors", &WEIGHTS),
        ("pytorch_model.bin", b"a pickle"),
        ("tokenizer.json", b"{\"version\": \"1.0\"}"),
        ("vocab.txt", b"[PAD]\n"),
    ]
}

/// Hub with one model, and an empty cache.
struct Setup {
    hub: HubStandIn,
    cache: TempDir,
    commit: String,
}

impl Setup {
    fn new() -> Self {
        let hub = HubStandIn::start();
        let commit = hub.publish(ID, "main", &files());
        Self { hub, cache: TempDir::new().unwrap(), commit }
    }

    fn options(&self) -> HubOptions {
        options(&self.hub.endpoint(), self.cache.path())
    }

    fn download(&self) -> Result<PathBuf> {
        snapshot_download(ID, &self.options())
    }

    fn offline(&self) -> Result<PathBuf> {
        snapshot_download(ID, &self.options().offline(true))
    }

    /// Returns the folder of the model in the cache.
    fn folder(&self) -> PathBuf {
        self.cache.path().join("models--org--name")
    }

    /// Returns the methods and paths of the requests since the last call, without signatures.
    fn requests(&self) -> Vec<String> {
        self.hub.take_requests().iter().map(line).collect()
    }

    /// Checks that nothing in the cache counts as complete, and nothing incomplete is left.
    #[track_caller]
    fn assert_nothing_of(&self, name: &str) {
        let contents = fs::read_dir(self.folder().join("blobs")).unwrap();
        for entry in contents.map(|entry| entry.unwrap()) {
            assert!(entry.metadata().unwrap().len() < 100, "{entry:?}");
        }
        assert!(!self.folder().join("refs/main").exists());
        let error = self.offline().unwrap_err();
        assert!(matches!(error, Error::Hub(HubError::NotCached { .. })), "{error}");
        assert!(!self.folder().join("snapshots").join(&self.commit).join(name).exists());
    }
}

/// Returns options that no environment variable changes.
fn options(endpoint: &str, cache: &Path) -> HubOptions {
    HubOptions::default().endpoint(endpoint).cache_folder(cache).token("").offline(false)
}

fn line(request: &Request) -> String {
    let path = request.path.split('?').next().unwrap();
    format!("{} {path}", request.method)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
fn hub_error(result: Result<PathBuf>) -> HubError {
    match result {
        Err(Error::Hub(error)) => error,
        other => panic!("expected an error of the Hub, found {other:?}"),
    }
}
