//! `distilbert convert`.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{BUNDLED, failed_with_one_line, path, run, stderr, succeeded};

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

#[test]
fn converted_model_classifies_identically() {
    let folder = TempDir::new().unwrap();
    let text = "I can't believe we won!";
    let expected = run(&["classify", "--json", text]);
    let expected = succeeded(&expected);
    for dtype in ["f32", "f16", "int8"] {
        let out = folder.path().join(dtype);
        let out = out.to_str().unwrap();
        let output = run(&["convert", &BUNDLED, out, "--dtype", dtype]);
        assert_eq!(succeeded(&output), format!("{out}\n"));
        let precision = if dtype == "int8" { "int8" } else { "f32" };
        let found = run(&["classify", "--json", "--model", out, "--precision", precision, text]);
        let original = run(&["classify", "--json", "--precision", precision, text]);
        assert_eq!(succeeded(&found), succeeded(&original), "{dtype}");
        assert_eq!(succeeded(&found) == expected, dtype != "int8", "{dtype}");
    }
    let copy = folder.path().join("copy");
    succeeded(&run(&["convert", &BUNDLED, copy.to_str().unwrap()]));
    assert!(
        weights(&copy) == weights(&folder.path().join("f16")),
        "the bundled model is stored in f16"
    );
}

#[test]
fn convert_fails_with_one_line() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let missing = run(&["convert", "no/such/model", out]);
    assert!(failed_with_one_line(&missing, 2).contains("no/such/model"));
    let existing = run(&["convert", &BUNDLED, &BUNDLED]);
    assert!(failed_with_one_line(&existing, 2).contains("already"));
    for dtype in ["f64", "cascade"] {
        let refused = run(&["convert", &BUNDLED, out, "--dtype", dtype]);
        assert_eq!(refused.status.code(), Some(2), "{dtype}");
        assert!(!stderr(&refused).contains(", cascade"), "{}", stderr(&refused));
    }
    assert_eq!(run(&["convert", &BUNDLED]).status.code(), Some(2));
    std::fs::copy(Path::new(&*BUNDLED).join("config.json"), folder.path().join("config.json"))
        .unwrap();
    std::fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let pickle = run(&["convert", path(&folder), out]);
    assert!(failed_with_one_line(&pickle, 2).contains("pytorch_model.bin"));
    assert!(!Path::new(out).exists());
}
