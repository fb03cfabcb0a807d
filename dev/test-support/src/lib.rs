//! Goldens, generated models, and helpers shared by the tests and benchmarks of all crates.

#![allow(missing_docs, reason = "for tests only")]

pub mod counting;
pub mod cuda;
mod dice;
#[cfg(unix)]
pub mod fork;
pub mod generator;
pub mod goemotions;
pub mod model_files;
pub mod reading;
#[cfg(target_os = "linux")]
pub mod stand_in;

use std::path::{Path, PathBuf};

use distilbert::{InstructionSet, Precision, TokenBatch};
use serde_json::Value;

pub use self::dice::Dice;

/// Largest error of an `f32` logit against float64.
pub const TOLERANCE: f64 = 2e-5;

/// Largest difference of an int8 logit between the portable implementation and the other instruction sets. They fuse
/// multiplications with additions, and a different rounding occasionally moves an input to the next of its 256 steps.
pub const PORTABLE_TOLERANCE: f64 = 0.1;

/// Returns the only instruction set to test if `EXPECT_ISA` is set. Emulated CPUs support only that one, and run fewer cases
/// where all would take minutes.
pub fn expected_set() -> Option<InstructionSet> {
    let name = std::env::var("EXPECT_ISA").ok()?;
    Some(name.parse().unwrap_or_else(|error| panic!("EXPECT_ISA: {error}")))
}

/// Returns the instruction sets to test: all that the machine supports, or the expected one, which it must support.
pub fn sets() -> Vec<InstructionSet> {
    let detected = InstructionSet::detected();
    match expected_set() {
        Some(set) => {
            assert!(detected.contains(&set), "this machine doesn't support {set}");
            vec![set]
        }
        None => {
            let lacks = |set: &InstructionSet| !detected.contains(set);
            InstructionSet::ALL
                .iter()
                .filter(|set| lacks(set))
                .for_each(|set| println!("skipped {set}"));
            detected
        }
    }
}

/// Returns the precisions that this machine computes in on the CPU.
pub fn precisions() -> Vec<Precision> {
    let set = InstructionSet::choose(None).unwrap();
    let supported: Vec<Precision> = set.precisions().collect();
    Precision::ALL
        .iter()
        .filter(|precision| **precision != Precision::Auto && !supported.contains(precision))
        .for_each(|precision| println!("skipped {precision}: {set} lacks it here"));
    supported
}

/// Returns rows of token ids for the [golden models](generator::golden_models).
pub fn golden_rows() -> Vec<Vec<u32>> {
    let row = |len: u32| (0..len).map(|at| (at * 7 + len) % 120).collect();
    [1, 2, 3, 5, 8, 13, 21, 34].map(row).to_vec()
}

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    folder.expect("the package is two folders below the root")
}

pub fn bundled_model() -> PathBuf {
    root().join("models/emotion")
}

/// Reads a file of `tests/reference`.
pub fn golden(name: &str) -> Value {
    let path = root().join("tests/reference").join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn ids(value: &Value) -> Vec<u32> {
    list(value).iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Returns the batch of a golden, and its logits row after row.
pub fn padded_batch(batch: &Value) -> (TokenBatch, Vec<f64>) {
    let len = list(&batch["input_ids"][0]).len();
    let flat = |field: &str| list(&batch[field]).iter().flat_map(ids).collect::<Vec<u32>>();
    let tokens = TokenBatch::from_padded(&flat("input_ids"), &flat("attention_mask"), len);
    (tokens.unwrap(), list(&batch["logits"]).iter().flat_map(numbers).collect())
}

/// Returns the largest absolute difference between found and expected values.
pub fn largest_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let errors = found.iter().zip(expected).map(|(&found, &expected)| {
        let error = (f64::from(found) - expected).abs();
        assert!(!error.is_nan(), "found {found}, expected {expected}");
        error
    });
    errors.fold(0.0, f64::max)
}

/// Returns the texts of `tests/reference/tokens.json` with their ids.
pub fn token_goldens() -> Vec<(String, Vec<u32>)> {
    let goldens = golden("tokens.json");
    let pair = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), ids(&pair[1]));
    list(&goldens["texts"]).iter().map(pair).collect()
}
