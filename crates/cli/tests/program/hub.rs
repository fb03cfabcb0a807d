//! Models given by their name on the Hub, against a stand-in for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use hub_stand_in::{Fault, HubStandIn};
use tempfile::TempDir;
use test_support::bundled_model;

use crate::support::{
    edited_model, failed_with_one_line, path, program, run, run_with_input, spawn, succeeded,
};

const ID: &str = "org/emotion";
const TEXT: &str = "I can't believe we won!";

/// Hub with the bundled model, and an empty cache.
struct Setup {
    hub: HubStandIn,
    home: TempDir,
}

impl Setup {
    fn new() -> Self {
        let hub = HubStandIn::start();
        hub.publish_folder(ID, &bundled_model());
        Self { hub, home: TempDir::new().unwrap() }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.env("HF_HOME", self.home.path()).env("HF_ENDPOINT", self.hub.endpoint());
        command.env("HF_HUB_ETAG_TIMEOUT", "5");
        command
    }

    fn classify(&self, model: &str) -> Command {
        self.program(&["classify", "--json", "--model", model, TEXT])
    }

    fn blobs(&self) -> PathBuf {
        self.home.path().join("hub/models--org--emotion/blobs")
    }

    fn complete_weights(&self) -> bool {
        let sha256 = hub_stand_in::sha256(&fs::read(weights()).unwrap());
        self.blobs().join(sha256).exists()
    }
}

fn weights() -> PathBuf {
    bundled_model().join("model.safetensors")
}

#[test]
fn name_gives_the_output_of_the_folder() {
    let setup = Setup::new();
    let expected = run(&["classify", "--json", TEXT]);
    for _ in 0..2 {
        // Silent in a pipe.
        let output = run_with_input(setup.classify(ID), b"");
        assert_eq!(succeeded(&output), succeeded(&expected));
    }
    let transfers = setup.hub.take_requests().iter().filter(|request| request.is_contents).count();
    assert_eq!(transfers, 1);
    let mut offline = setup.classify(ID);
    offline.env("HF_HUB_OFFLINE", "1");
    assert_eq!(succeeded(&run_with_input(offline, b"")), succeeded(&expected));
    assert!(setup.hub.take_requests().is_empty());
}

#[test]
fn revision_selects_a_branch() {
    let setup = Setup::new();
    let edited = edited_model(|config| config["id2label"]["0"] = "renamed".into());
    let files = ["config.json", "model.safetensors", "tokenizer.json"];
    let files = files.map(|name| (name, fs::read(edited.path().join(name)).unwrap()));
    let files = files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
    setup.hub.publish(ID, "other", &files);
    let info = |arguments: &[&str]| {
        let arguments = [&["info", "--json", "--model", ID], arguments].concat();
        let output = run_with_input(setup.program(&arguments), b"");
        succeeded(&output).contains("renamed")
    };
    assert!(info(&["--revision", "other"]) && !info(&[]));
    let output = run_with_input(setup.program(&["info", "--model", ID, "--revision", "v9"]), b"");
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("no revision `v9`: pass another --revision"), "{message}");
    for arguments in [&["--revision", "x"][..], &["--revision", "x", "--model", path(&edited)]] {
        let output = run(&[&["info"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn other_commands_take_names() {
    let setup = Setup::new();
    let table = setup.home.path().join("table.csv");
    fs::write(&table, "text\nNice.\n").unwrap();
    let (table, out) = (table.to_str().unwrap(), setup.home.path().join("out"));
    let out = out.to_str().unwrap();
    for arguments in
        [&["compare", table, "--with-model", ID, "--json"][..], &["quantize", "--model", ID, out]]
    {
        succeeded(&run_with_input(setup.program(arguments), b""));
    }
}

#[test]
fn path_wins_over_a_name() {
    let setup = Setup::new();
    let folder = setup.home.path().join(ID);
    fs::create_dir_all(&folder).unwrap();
    let mut command = setup.classify(ID);
    command.current_dir(setup.home.path());
    let output = run_with_input(command, b"");
    assert!(failed_with_one_line(&output, 2).contains("config.json"));
    assert!(setup.hub.take_requests().is_empty());
}

#[test]
fn names_of_nothing_are_one_line_errors() {
    let setup = Setup::new();
    let message = |command: Command| {
        let output = run_with_input(command, b"");
        let message = failed_with_one_line(&output, 2).to_owned();
        assert!(message.contains("there is no folder "), "{message}");
        message
    };
    for (model, expected) in [
        ("org/other", "has no model `org/other`"),
        ("no/such/folder", "`no/such/folder` is not the name of a model"),
        ("./emotion", "`./emotion` is not the name of a model"),
    ] {
        let message = message(setup.classify(model));
        assert!(message.contains(expected), "{message}");
    }
    let mut offline = setup.classify(ID);
    offline.env("HF_HUB_OFFLINE", "1");
    let message = message(offline);
    assert!(message.contains("config.json") && message.contains("HF_HUB_OFFLINE"), "{message}");
}

#[test]
fn token_comes_from_the_environment() {
    let setup = Setup::new();
    setup.hub.require_token(ID, "hf_secret");
    let output = run_with_input(setup.classify(ID), b"");
    assert!(failed_with_one_line(&output, 2).contains("set HF_TOKEN"));
    let mut wrong = setup.classify(ID);
    wrong.env("HF_TOKEN", "hf_wrong");
    let output = run_with_input(wrong, b"");
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("401") && !message.contains("hf_wrong"), "{message}");
    fs::write(setup.home.path().join("token"), "hf_secret\n").unwrap();
    succeeded(&run_with_input(setup.classify(ID), b""));
}

#[test]
fn processes_share_a_cache() {
    let setup = Setup::new();
    let children = [(); 3].map(|()| spawn(setup.classify(ID)));
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let [first, second, third] = outputs.each_ref().map(|output| succeeded(output));
    assert_eq!((first, second), (second, third));
    let requests = setup.hub.take_requests();
    assert_eq!(requests.iter().filter(|request| request.is_contents).count(), 1);
    assert!(setup.complete_weights());
}

#[test]
fn killed_download_leaves_nothing_that_counts() {
    let setup = Setup::new();
    setup.hub.fail("GET /blob/", Fault::Delay(Duration::from_secs(60)), 1);
    let mut child = spawn(setup.classify(ID));
    let start = Instant::now();
    while !setup.hub.take_requests().iter().any(|request| request.is_contents) {
        assert!(start.elapsed() < Duration::from_secs(30), "the download does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!setup.complete_weights());
    let mut offline = setup.classify(ID);
    offline.env("HF_HUB_OFFLINE", "1");
    failed_with_one_line(&run_with_input(offline, b""), 2);
    succeeded(&run_with_input(setup.classify(ID), b""));
    assert!(setup.complete_weights());
}

#[test]
fn silent_hub_is_given_up() {
    let setup = Setup::new();
    succeeded(&run_with_input(setup.classify(ID), b""));
    setup.hub.fail("GET /api/", Fault::Delay(Duration::from_secs(60)), usize::MAX);
    let mut command = setup.classify(ID);
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    let start = Instant::now();
    succeeded(&run_with_input(command, b""));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
