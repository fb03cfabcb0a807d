//! Models in bf16. Machines without bf16 instructions load them only in these tests, and compute in plain Rust.

use std::fs;
use std::path::Path;

use half::bf16;
use serde_json::{Map, Value, json};
use test_support::generator::{GeneratedModel, golden_models as models};
use test_support::golden_rows as rows;

use super::*;
use crate::Error;
use crate::cpu::simd::on_every_isa;
use crate::input::batch::TokenBatch;
use crate::model::files::ModelFiles;
use crate::testing::expected_set;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/bf16.json");

fn goldens() -> Value {
    serde_json::from_slice(&fs::read(FILE).unwrap()).unwrap()
}

/// Loads a model in bf16 on any set.
fn open(folder: &Path, isa: SelectedIsa, threads: usize) -> Engine<bf16> {
    let files = ModelFiles::Folder(folder.to_owned());
    let config = Config::from_files(&files).unwrap();
    let checkpoint = Checkpoint::open(&files).unwrap();
    Engine::load(isa, config, &checkpoint, Threads::new(threads).unwrap()).unwrap()
}

fn logits(engine: &Engine<bf16>, rows: &[Vec<u32>]) -> Vec<f32> {
    let mut logits = vec![0.0; rows.len() * engine.model.head.outputs];
    engine.forward(&TokenBatch::from_rows(rows).unwrap(), &mut logits).unwrap();
    logits
}

/// Returns the name of the arithmetic, if its logits are known. All instruction sets but the portable one round the rest
/// of a model in the same way.
fn arithmetic(set: InstructionSet, isa: SelectedIsa) -> Option<&'static str> {
    match set {
        InstructionSet::Portable => None,
        InstructionSet::I8mm if isa.has_bf16() => Some("bfmmla"),
        InstructionSet::Avx512Amx if isa.has_bf16() => None,
        _ => Some("vdpbf16ps"),
    }
}

/// `UPDATE_GOLDENS=1` rewrites the logits of this machine's arithmetics.
#[test]
fn bf16_logits_match_the_goldens_of_their_arithmetic() {
    let is_update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut goldens = goldens();
    for (name, model) in models() {
        let folder = tempfile::tempdir().unwrap();
        model.write(folder.path());
        let exact: Vec<f64> = {
            let sets = format!("{}/tests/reference/sets.json", env!("CARGO_MANIFEST_DIR"));
            let sets: Value = serde_json::from_slice(&fs::read(sets).unwrap()).unwrap();
            sets[name]["f32"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        on_every_isa(|set, isa| {
            let found = logits(&open(folder.path(), isa, 1), &rows());
            let error = found.iter().zip(&exact).map(|(&a, b)| (f64::from(a) - b).abs());
            let error = error.fold(0.0, f64::max);
            println!("{name} on {set}: at most {error:.1e} from f32");
            assert!(error <= 0.1, "{name} on {set}: error {error:.1e}");
            let Some(arithmetic) = arithmetic(set, isa) else { return };
            if is_update {
                let all = goldens[arithmetic].as_object().cloned();
                let mut all = all.unwrap_or_else(Map::new);
                let values = found.iter().map(|&logit| f64::from(logit)).collect();
                all.insert(name.to_owned(), values);
                goldens[arithmetic] = Value::Object(all);
            }
            let expected = goldens[arithmetic][name].as_array().unwrap().iter();
            let expected: Vec<f32> = expected.map(|x| x.as_f64().unwrap() as f32).collect();
            assert_eq!(found, expected, "{name} on {set}, {arithmetic}");
        });
    }
    if is_update {
        fs::write(FILE, json!(goldens).to_string() + "\n").unwrap();
    }
}

#[test]
fn bf16_rows_have_the_same_bits_in_any_batch_and_on_any_threads() {
    let (_, model) = &models()[1];
    let folder = tempfile::tempdir().unwrap();
    model.write(folder.path());
    on_every_isa(|set, isa| {
        let [one, two] = [1, 2].map(|threads| open(folder.path(), isa, threads));
        let together = logits(&one, &rows());
        assert_eq!(logits(&two, &rows()), together, "{set}");
        let outputs = one.model.head.outputs;
        for (row, expected) in rows().into_iter().zip(together.chunks(outputs)) {
            assert_eq!(logits(&one, &[row]), expected, "{set}");
        }
    });
}

/// The simulation rounds the operands of each product to bf16 and computes in f32: `tests/reference/bf16.py`.
#[test]
fn bundled_model_in_bf16_matches_the_simulation() {
    // Loading takes minutes on an emulated CPU.
    if expected_set().is_some() {
        return;
    }
    let goldens = goldens();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/emotion");
    let isa = InstructionSet::choose(None).unwrap().detect().unwrap();
    let engine = open(&folder, isa, 2);
    for case in goldens["simulated"].as_array().unwrap() {
        let ids = case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32);
        let found = logits(&engine, &[ids.collect()]);
        let expected = case["logits"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
        let errors = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs());
        let error = errors.fold(0.0, f64::max);
        println!("{error:.1e} from the simulation");
        assert!(error <= 1e-2, "error {error:.1e}");
    }
}

#[test]
fn bf16_is_refused_without_its_instructions() {
    // The environment says whether an emulated CPU has the instructions, which must then be used.
    if let (Some(set), Ok(expected)) = (expected_set(), std::env::var("EXPECT_BF16")) {
        assert_eq!(set.supports(Precision::Bf16).to_string(), expected, "{set}");
    }
    let folder = tempfile::tempdir().unwrap();
    GeneratedModel::small().write(folder.path());
    let files = ModelFiles::Folder(folder.path().to_owned());
    let checkpoint = Checkpoint::open(&files).unwrap();
    on_every_isa(|set, isa| {
        let config = Config::from_files(&files).unwrap();
        let threads = Threads::new(1).unwrap();
        let loaded = load(config, &checkpoint, set, Precision::Bf16, threads);
        assert_eq!(set.supports(Precision::Bf16), isa.has_bf16());
        match loaded.map(|_| ()) {
            Ok(()) => assert!(isa.has_bf16(), "{set}"),
            Err(error) => {
                assert!(!isa.has_bf16(), "{set}: {error}");
                let text = error.to_string();
                assert!(text.contains(&format!("`{set}`")) && text.contains("f16 "), "{text}");
                assert!(matches!(
                    error,
                    Error::Device(DeviceError::CpuPrecision {
                        requested: Precision::Bf16,
                        instruction_set,
                    }) if instruction_set == set
                ));
            }
        }
    });
}
