//! The CUDA backend on an NVIDIA GPU: logits against float64 and the CPU, bit-identical in every batch.
//! Without a GPU, each test prints that it was skipped.
//!
//! NVIDIA's sanitizer finds races and invalid accesses that these tests can't observe. For each of its tools `memcheck`,
//! `racecheck`, `initcheck` and `synccheck`:
//!
//! ```sh
//! cargo test --release --features cuda --test cuda device \
//!     --config "target.'cfg(all())'.runner = 'compute-sanitizer --tool racecheck --error-exitcode 1'"
//! ```

use distilbert::{Device, DeviceError, Error, Precision, TokenBatch};
use serde_json::Value;
use tempfile::TempDir;
use test_support::cuda::{
    self, TOLERANCE, assert_int8_close, best, builder, cpu, gpu, hardware, logits, mean_error,
};
use test_support::generator::GeneratedModel;
use test_support::{Dice, bundled_model, golden, ids, largest_error, list, numbers, padded_batch};

macro_rules! on_hardware {
    ($($check:ident)*) => {
        $(#[test]
        fn $check() {
            if let Some(device) = hardware() {
                cuda::$check(device);
            }
        })*
    };
}
on_hardware! {
    all_head_sizes_match_cpu
    pruned_layers_match_cpu
    graphs_serve_batches_of_their_shape
    rows_are_bit_identical_in_batches_of_any_size
    masked_tokens_keep_positions
    supports_concurrent_callers
}

/// Returns `true` if there are kernels for a model's shape.
fn fits(config: &Value) -> bool {
    let [dim, heads] = ["dim", "n_heads"].map(|field| config[field].as_u64().unwrap());
    dim.is_multiple_of(64) && [16, 32, 64, 128].contains(&(dim / heads))
}

/// Checks a golden in f16 and returns `true`, or returns `false` if there are no kernels for its shape.
fn check_case(device: Device, case: &Value) -> bool {
    let folder = TempDir::new().unwrap();
    GeneratedModel::of_case(case).write(folder.path());
    let built = builder(folder.path(), device).precision(Precision::F16).build();
    if !fits(&case["config"]) {
        let error = built.err().unwrap();
        assert!(
            matches!(error, Error::Device(DeviceError::CudaModel { .. })),
            "{}: {error}",
            case["name"]
        );
        return false;
    }
    let classifier = built.unwrap();
    let mut worst = 0f64;
    for batch in list(&case["batches"]) {
        let (tokens, expected) = padded_batch(batch);
        let error = largest_error(&classifier.logits(&tokens).unwrap(), &expected);
        assert!(error <= TOLERANCE.into(), "{} / {}: {error:.1e}", case["name"], batch["name"]);
        worst = worst.max(error);
    }
    println!("{}: {worst:.1e}", case["name"]);
    true
}

#[test]
fn generated_configurations_match_float64() {
    let Some(device) = hardware() else { return };
    let cases = golden("generated.json");
    let checked = list(&cases).iter().filter(|case| check_case(device, case)).count();
    println!("{checked} of {} configurations have kernels", list(&cases).len());
    assert!(checked >= 5);
}

#[test]
fn full_size_matches_float64() {
    let Some(device) = hardware() else { return };
    assert!(list(&golden("full.json")).iter().all(|case| check_case(device, case)));
}

/// Returns the ids of all texts of the bundled model's goldens, and their logits.
fn texts() -> (Vec<Vec<u32>>, Vec<f64>) {
    let goldens = golden("bundled.json");
    let cases = list(&goldens["cases"]);
    assert!(cases.len() >= 200);
    let logits = cases.iter().flat_map(|case| numbers(&case["logits"]));
    (cases.iter().map(|case| ids(&case["ids"])).collect(), logits.collect())
}

#[test]
fn bundled_model_matches_float64() {
    let Some(device) = hardware() else { return };
    let (rows, expected) = texts();
    let error =
        largest_error(&logits(&gpu(&bundled_model(), device, Precision::F16), &rows), &expected);
    println!("{} texts: {error:.1e}", rows.len());
    assert!(error <= TOLERANCE.into(), "{error}");
}

#[test]
fn int8_labels_match_cpu() {
    let Some(device) = hardware() else { return };
    let (model, (rows, _)) = (bundled_model(), texts());
    let of_cpu = cpu(&model, Precision::Int8);
    let labels = of_cpu.labels().len();
    let (expected, exact) = (logits(&of_cpu, &rows), logits(&cpu(&model, Precision::F32), &rows));
    let found = logits(&gpu(&model, device, Precision::Int8), &rows);
    assert_int8_close(&found, &expected, &exact);
    // The order of two logits is undetermined where they are as close as rounding errors.
    let near = 4.0 * mean_error(&expected, &exact);
    let mut exchanged = 0;
    let pairs = best(&found, labels).into_iter().zip(best(&expected, labels));
    for ((label, of_cpu), logits) in pairs.zip(expected.chunks_exact(labels)) {
        assert!(logits[of_cpu] - logits[label] < near, "{label}, not {of_cpu}, of {logits:?}");
        exchanged += usize::from(label != of_cpu);
    }
    println!("{exchanged} of {} texts have a different label", rows.len());
    assert!(exchanged * 100 <= rows.len());
}

/// Compares every text in shuffled batches of 1 to 64 with the text alone.
#[test]
fn texts_are_bit_identical_in_any_batch() {
    let Some(device) = hardware() else { return };
    let (rows, _) = texts();
    for precision in [Precision::F16, Precision::Int8] {
        let gpu = gpu(&bundled_model(), device, precision);
        let labels = gpu.labels().len();
        let alone: Vec<Vec<f32>> = rows.iter().map(|row| logits(&gpu, &[row])).collect();
        let mut dice = Dice(1);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        for _ in 0..3 {
            dice.shuffle(&mut order);
            let mut rest = order.as_slice();
            while !rest.is_empty() {
                let (batch, after) = rest.split_at((1 + dice.below(64)).min(rest.len()));
                rest = after;
                let batch_rows: Vec<&Vec<u32>> = batch.iter().map(|&row| &rows[row]).collect();
                let found = gpu.logits(&TokenBatch::from_rows(&batch_rows).unwrap()).unwrap();
                for (&row, found) in batch.iter().zip(found.chunks_exact(labels)) {
                    assert_eq!(found, alone[row], "row {row} in {precision}");
                }
            }
        }
    }
}
