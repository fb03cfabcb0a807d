//! Helpers that run the built program.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use distilbert::{Classifier, InstructionSet, Precision};
use serde_json::Value;
use tempfile::TempDir;
use test_support::bundled_model;

/// Folder of the bundled model.
pub static BUNDLED: LazyLock<String> =
    LazyLock::new(|| bundled_model().into_os_string().into_string().unwrap());
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_distilbert");

/// Returns a command for the program, without environment variables that change its output.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    clear_environment(&mut command);
    command
}

/// Removes the environment variables that change the program's output.
pub fn clear_environment(command: &mut Command) {
    for name in ["NO_COLOR", "CLICOLOR_FORCE", InstructionSet::ENVIRONMENT] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HF_") {
            command.env_remove(name);
        }
    }
}

pub fn spawn(mut command: Command) -> Child {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().unwrap()
}

pub fn run_with_input(command: Command, input: &[u8]) -> Output {
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that rejects its arguments does not read.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

pub fn run(arguments: &[&str]) -> Output {
    run_with_input(program(arguments), b"")
}

pub fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
pub fn succeeded(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert_eq!(stderr(output), "");
    stdout(output)
}

/// Checks that the program stopped with a one-line error, and returns the line.
#[track_caller]
pub fn failed_with_one_line(output: &Output, status: i32) -> &str {
    assert_eq!(output.status.code(), Some(status), "{}", stderr(output));
    assert_eq!(stdout(output), "");
    let message = stderr(output);
    assert!(message.starts_with("error: "), "{message}");
    assert!(message.ends_with('\n') && message.lines().count() == 1, "{message}");
    message
}

pub fn objects(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the logits of a JSON object.
pub fn logits(object: &Value) -> Vec<f32> {
    let logits = object["logits"].as_array().unwrap();
    // Parse the text, as a reader of the JSON would.
    logits.iter().map(|logit| logit.to_string().parse().unwrap()).collect()
}

/// Returns the bits of floats.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Loads the bundled model with the instruction set that the program uses, whatever `DISTILBERT_ISA` is.
pub fn bundled() -> Classifier {
    load(&bundled_model(), Precision::F32)
}

/// Loads a model with the instruction set that the program uses, whatever `DISTILBERT_ISA` is.
pub fn load(folder: &Path, precision: Precision) -> Classifier {
    let best = InstructionSet::detected().pop().unwrap();
    Classifier::builder(folder).instruction_set(best).precision(precision).build().unwrap()
}

/// Copies the bundled model with an edited configuration to a temporary folder.
pub fn edited_model(edit: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_model(folder.path(), edit);
    folder
}

pub fn copy_model(to: &Path, edit: impl FnOnce(&mut Value)) {
    let config = std::fs::read(bundled_model().join("config.json")).unwrap();
    let mut config = serde_json::from_slice(&config).unwrap();
    edit(&mut config);
    std::fs::write(to.join("config.json"), config.to_string()).unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        let original = bundled_model().join(file);
        if std::fs::hard_link(&original, to.join(file)).is_err() {
            std::fs::copy(&original, to.join(file)).unwrap();
        }
    }
}

pub fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}
