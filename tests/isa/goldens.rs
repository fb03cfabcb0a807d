//! Logits of small models on every instruction set, against those of AVX2.
//!
//! All instruction sets but the portable one must give the same bits in every precision, even on machines that have no
//! instruction set in common. A test on one machine can't compare those, so the logits are stored in
//! `tests/reference/sets.json`. On a machine with AVX2,
//! `UPDATE_GOLDENS=1 cargo test --release --test isa goldens` rewrites the file. Cascades have no goldens: their logits are
//! those of other precisions.

use std::path::Path;

use distilbert::{Classifier, InstructionSet, Precision, TokenBatch};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use test_support::generator::golden_models as models;
use test_support::{
    PORTABLE_TOLERANCE, TOLERANCE, bundled_model, golden, golden_rows, ids, largest_error, list,
    numbers, sets,
};

const FILE: &str = "sets.json";

fn logits(model: &Path, set: InstructionSet, precision: Precision) -> Vec<f32> {
    let builder = Classifier::builder(model).instruction_set(set).precision(precision);
    let batch = TokenBatch::from_rows(&golden_rows()).unwrap();
    builder.threads(1).build().unwrap().logits(&batch).unwrap()
}

/// Returns the precisions with one result on all sets: the instructions for bf16 add in different orders.
fn precisions() -> impl Iterator<Item = Precision> {
    [Precision::F32, Precision::F16, Precision::Int8].into_iter()
}

fn update() {
    let mut all = Map::new();
    for (name, model) in models() {
        let folder = TempDir::new().unwrap();
        model.write(folder.path());
        let of = |precision: Precision| {
            let logits = logits(folder.path(), InstructionSet::Avx2, precision);
            (precision.to_string(), logits.into_iter().map(f64::from).collect())
        };
        all.insert(name.to_owned(), Value::Object(precisions().map(of).collect()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(FILE);
    std::fs::write(path, json!(all).to_string() + "\n").unwrap();
}

#[test]
fn small_models_match_avx2_bit_for_bit() {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        update();
    }
    let goldens = golden(FILE);
    for (name, model) in models() {
        let folder = TempDir::new().unwrap();
        model.write(folder.path());
        for precision in precisions() {
            let expected = numbers(&goldens[name][precision.to_string()]);
            let bits: Vec<u32> = expected.iter().map(|&logit| (logit as f32).to_bits()).collect();
            for set in sets() {
                let found = logits(folder.path(), set, precision);
                let error = largest_error(&found, &expected);
                println!("{name} in {precision} on {set}: {error:.1e}");
                let tolerance = match precision {
                    Precision::Int8 => PORTABLE_TOLERANCE,
                    _ => TOLERANCE,
                };
                assert!(error <= tolerance, "{name} in {precision} on {set}: error {error:.1e}");
                if set != InstructionSet::Portable {
                    let found: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
                    assert_eq!(found, bits, "{name} in {precision} on {set}");
                }
            }
        }
    }
}

/// The bundled model stores f16 weights, so only the sums are rounded.
#[test]
fn short_texts_match_float64_in_f16() {
    let goldens = golden("bundled.json");
    let short = list(&goldens["cases"]).iter().filter(|case| list(&case["ids"]).len() <= 8);
    let cases: Vec<&Value> = short.take(4).collect();
    assert_eq!(cases.len(), 4);
    let rows: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["ids"])).collect();
    let expected: Vec<f64> = cases.iter().flat_map(|case| numbers(&case["logits"])).collect();
    for set in sets() {
        let builder = Classifier::builder(bundled_model()).instruction_set(set);
        let classifier = builder.precision(Precision::F16).threads(1).build().unwrap();
        let found = classifier.logits(&TokenBatch::from_rows(&rows).unwrap()).unwrap();
        let error = largest_error(&found, &expected);
        assert!(error <= TOLERANCE, "on {set}: error {error:.1e}");
    }
}
