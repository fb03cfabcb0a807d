//! Kept inputs of the fuzz targets, and those that once failed, break no promise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use fuzz_targets::{Limited, TARGETS};

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Time for an input without optimization on a busy machine; libFuzzer allows a second.
const HANGING: Duration = Duration::from_secs(20);

/// Calls every target with the files of a folder that has one folder for each.
fn replay(folder: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder);
    let mut failures = Vec::new();
    for &(name, target) in TARGETS {
        let files: Vec<_> = match std::fs::read_dir(folder.join(name)) {
            Ok(files) => files.map(|file| file.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        };
        assert!(files.len() >= least, "{name} has {} inputs", files.len());
        let started = Instant::now();
        for file in &files {
            let input = std::fs::read(file).unwrap();
            let started = Instant::now();
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                failures.push(format!("{} panics", file.display()));
            } else if started.elapsed() > HANGING {
                failures.push(format!("{} takes {:?}", file.display(), started.elapsed()));
            }
        }
        println!("{name}: {} inputs in {:?}", files.len(), started.elapsed());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn kept_inputs_break_no_promise() {
    replay("corpus", 4);
}

#[test]
fn inputs_that_failed_break_no_promise() {
    replay("regressions", 0);
}
