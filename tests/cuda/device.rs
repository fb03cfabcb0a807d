//! The CUDA engine on an NVIDIA GPU: logits against float64 and the CPU's, the same bits in every batch.
//! Where there is no GPU, each test says in a line that it was skipped.
//!
//! NVIDIA's sanitizer finds races and accesses that these do not notice. For each of its tools `memcheck`,
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
    self, TOLERANCE, assert_rounded_alike, best, builder, cpu, gpu, hardware, logits, mean_error,
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
    models_of_all_head_sizes_give_the_logits_of_the_cpu
    a_graph_serves_other_batches_of_its_shape
    batches_of_any_size_give_what_their_rows_give_alone
    tokens_keep_their_positions_where_others_are_masked
    callers_at_the_same_time_do_not_disturb_each_other
}

/// Whether there are kernels for a model's shape.
fn fits(config: &Value) -> bool {
    let [dim, heads, hidden_dim] =
        ["dim", "n_heads", "hidden_dim"].map(|field| config[field].as_u64().unwrap());
    dim.is_multiple_of(64)
        && hidden_dim.is_multiple_of(64)
        && [16, 32, 64, 128].contains(&(dim / heads))
}

/// Checks a golden in f16, if there are kernels for its shape, and says whether there are.
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
fn the_full_size_matches_float64() {
    let Some(device) = hardware() else { return };
    assert!(list(&golden("full.json")).iter().all(|case| check_case(device, case)));
}

/// The ids of all texts of the bundled model's goldens, and their logits.
fn texts() -> (Vec<Vec<u32>>, Vec<f64>) {
    let goldens = golden("bundled.json");
    let cases = list(&goldens["cases"]);
    assert!(cases.len() >= 200);
    let logits = cases.iter().flat_map(|case| numbers(&case["logits"]));
    (cases.iter().map(|case| ids(&case["ids"])).collect(), logits.collect())
}

#[test]
fn the_bundled_model_matches_float64() {
    let Some(device) = hardware() else { return };
    let (rows, expected) = texts();
    let error =
        largest_error(&logits(&gpu(&bundled_model(), device, Precision::F16), &rows), &expected);
    println!("{} texts: {error:.1e}", rows.len());
    assert!(error <= TOLERANCE.into(), "{error}");
}

#[test]
fn the_bundled_model_in_8_bits_gives_the_labels_of_the_cpu() {
    let Some(device) = hardware() else { return };
    let (model, (rows, _)) = (bundled_model(), texts());
    let of_cpu = cpu(&model, Precision::Int8);
    let labels = of_cpu.labels().len();
    let (expected, exact) = (logits(&of_cpu, &rows), logits(&cpu(&model, Precision::F32), &rows));
    let found = logits(&gpu(&model, device, Precision::Int8), &rows);
    assert_rounded_alike(&found, &expected, &exact);
    // Labels may be exchanged where the two largest logits are as near to each other as rounding moves them.
    let near = 4.0 * mean_error(&expected, &exact);
    let mut exchanged = 0;
    let pairs = best(&found, labels).into_iter().zip(best(&expected, labels));
    for ((label, of_cpu), logits) in pairs.zip(expected.chunks_exact(labels)) {
        assert!(logits[of_cpu] - logits[label] < near, "{label}, not {of_cpu}, of {logits:?}");
        exchanged += usize::from(label != of_cpu);
    }
    println!("{exchanged} of {} texts have another label", rows.len());
    assert!(exchanged * 100 <= rows.len());
}

/// Compares every text in shuffled batches of 1 to 64 with itself alone.
#[test]
fn texts_have_the_same_bits_in_any_batch() {
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
