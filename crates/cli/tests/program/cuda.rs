//! The program on a machine with and without a GPU.

use std::process::{Command, Output};

use test_support::bundled_model;
use test_support::stand_in::library_folder;

use crate::support::program;

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command: Command = program(arguments);
    command
        .arg("--model")
        .arg(bundled_model())
        .env("LD_LIBRARY_PATH", library_folder())
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn classifies_on_the_gpu() {
    let output = run(&["classify", "--device", "cuda", "--json", "I can't believe we won!"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains(r#""label":"happiness""#), "{text}");
}

#[test]
fn lists_the_gpus() {
    let output = run(&["info", "--json"], &[("STAND_IN_CAPABILITY", "8.9")]);
    let info: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(info["device"], "cpu");
    assert_eq!(info["cuda_devices"][0]["device"], "cuda:0");
    assert_eq!(info["cuda_devices"][0]["compute_capability"], "8.9");
    let output = run(&["info"], &[]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("cuda:0"));
}

#[test]
fn missing_gpu_is_a_one_line_error() {
    let output = run(&["classify", "--device", "cuda", "hi"], &[("STAND_IN_DEVICES", "0")]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("error: no GPU 0"), "{message}");
    let output = run(&["classify", "--device", "auto", "hi"], &[("STAND_IN_DEVICES", "0")]);
    assert!(output.status.success());
}
