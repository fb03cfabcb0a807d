//! Memory of a loaded model of DistilBERT-base's size, and at its highest while it is loaded. One test alone,
//! since it looks at the whole process.

#![cfg(target_os = "linux")]

use std::fs;

use distilbert::{Classifier, Precision};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::golden;

const MB: usize = 1_000_000;

/// Parameters of the model, each of four bytes in `f32`.
const F32_BYTES: usize = 4 * 66_958_855;

/// What the process has in memory, or had at most since it was last asked to forget, in bytes.
fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    1024 * kib
}

#[test]
fn a_loaded_model_is_little_more_than_its_weights_and_never_there_twice() {
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
        // The peak becomes what there is now.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS:");
        let classifier = Classifier::builder(folder).build().unwrap();
        let loaded = status("VmRSS:") - before;
        let highest = status("VmHWM:") - before;
        println!("{precision}: {} MB, {} MB at most", loaded / MB, highest / MB);
        assert_eq!(4 * classifier.info().parameters, F32_BYTES);
        assert!(loaded <= loaded_limit, "{precision}: {loaded} bytes");
        // The largest table, a third of the weights, is there twice while little else is.
        assert!(highest <= loaded_limit + loaded_limit / 4, "{precision}: {highest} bytes at most");
    }
}
