//! Memory of a loaded model of DistilBERT-base's size, and the peak while loading. This is the only test of its process
//! because it measures the whole process.

#![cfg(target_os = "linux")]

use std::fs;

use distilbert::{Classifier, Precision};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::golden;

const MB: usize = 1_000_000;

/// Size of the model's parameters in `f32`, in bytes.
const F32_BYTES: usize = 4 * 66_958_855;

/// Returns a size from `/proc/self/status` in bytes.
fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    1024 * kib
}

#[test]
fn loading_needs_little_more_memory_than_the_weights() {
    let folder = TempDir::new().unwrap();
    let [original, int8] = ["f32", "int8"].map(|name| folder.path().join(name));
    fs::create_dir(&original).unwrap();
    let model = GeneratedModel::of_case(&golden("full.json")[0]);
    model.write(&original);
    drop(model);
    distilbert::quantize(&original, &int8).unwrap();
    for (precision, folder, loaded_limit) in
        [(Precision::F32, &original, F32_BYTES + F32_BYTES / 10), (Precision::Int8, &int8, 85 * MB)]
    {
        // Resets the peak to the current size.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS:");
        let classifier = Classifier::builder(folder).build().unwrap();
        let loaded = status("VmRSS:") - before;
        let highest = status("VmHWM:") - before;
        println!("{precision}: {} MB, peak {} MB", loaded / MB, highest / MB);
        assert_eq!(4 * classifier.info().parameters, F32_BYTES);
        assert!(loaded <= loaded_limit, "{precision}: {loaded} bytes");
        assert!(highest <= loaded_limit + loaded_limit / 4, "{precision}: peak of {highest} bytes");
    }
}
