//! Named pipes in place of files, which would block until they have a writer.

use std::path::Path;
use std::process::Command;

use distilbert::{CheckpointError, Classifier, Error, convert};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;

fn replace_by_pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[track_caller]
fn check_refusal(error: &Error, name: &str) {
    let path = match error {
        Error::Io { operation: "read", path, .. } => path,
        Error::Checkpoint(CheckpointError::Damaged { path, .. }) => path,
        other => panic!("{name}: {other}"),
    };
    assert!(path.ends_with(name), "{name}: {error}");
}

#[test]
fn refuses_pipe_in_place_of_any_file() {
    let mut names = vec!["config.json", "model.safetensors"];
    if cfg!(feature = "text") {
        names.extend(["tokenizer.json", "vocab.txt", "tokenizer_config.json"]);
    }
    for name in names {
        let folder = TempDir::new().unwrap();
        GeneratedModel::small().write(folder.path());
        replace_by_pipe(&folder.path().join(name));
        check_refusal(&Classifier::builder(folder.path()).build().unwrap_err(), name);
    }
    for name in ["model.safetensors.index.json", "model-00002-of-00003.safetensors"] {
        let folder = TempDir::new().unwrap();
        GeneratedModel::small().write_sharded(folder.path());
        replace_by_pipe(&folder.path().join(name));
        check_refusal(&Classifier::builder(folder.path()).build().unwrap_err(), name);
    }
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let folder = TempDir::new().unwrap();
        GeneratedModel::small().write_config(folder.path());
        replace_by_pipe(&folder.path().join(name));
        check_refusal(&Classifier::builder(folder.path()).build().unwrap_err(), name);
    }
}

#[test]
fn conversion_refuses_pipe_in_place_of_companion() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    replace_by_pipe(&folder.path().join("vocab.txt"));
    let out = folder.path().join("out");
    check_refusal(&convert(folder.path(), &out, None).unwrap_err(), "vocab.txt");
    assert!(!out.join("model.safetensors").exists());
}
