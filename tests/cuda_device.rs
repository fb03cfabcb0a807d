//! The CUDA engine on a GPU, where the machine has one that it can use; elsewhere each test says so and ends.
//!
//! What the tests on the PTX machine check of every access, a GPU checks with NVIDIA's compute-sanitizer:
//! `compute-sanitizer --tool memcheck` (bounds and alignment), `initcheck` (what was never written) and
//! `racecheck` (shared memory), each before `cargo test --release --features cuda --test cuda_device`.

mod support;

use std::path::Path;
use std::thread;

use distilbert::{Classifier, Device, Error, Precision, TokenBatch};
use serde_json::Value;
use support::generator::GeneratedModel;
use support::{Dice, best, bundled_model, golden, ids, largest_error, list, numbers, padded_batch};
use tempfile::TempDir;

/// How far a logit in f16 may be from float64.
const TOLERANCE: f64 = 2e-2;

/// A model on the first GPU; none where there is no GPU that the kernels run on.
fn on_gpu(model: &Path, precision: Precision) -> Option<Result<Classifier, Error>> {
    let builder = Classifier::builder(model).device(Device::Cuda(0)).precision(precision);
    match builder.build() {
        Err(
            error @ (Error::CudaDriver { .. }
            | Error::NoCudaDevice { .. }
            | Error::CudaCapability { .. }),
        ) => {
            println!("skipped: {error}");
            None
        }
        built => Some(built),
    }
}

/// The ids and float64 logits of the texts of the bundled model.
fn texts() -> (Vec<Vec<u32>>, Vec<Vec<f64>>) {
    let goldens = golden("bundled.json");
    let cases = list(&goldens["cases"]).iter();
    cases.map(|case| (ids(&case["ids"]), numbers(&case["logits"]))).unzip()
}

fn logits<R: AsRef<[u32]>>(classifier: &Classifier, rows: &[R]) -> Vec<f32> {
    classifier.logits(&TokenBatch::from_rows(rows).unwrap()).unwrap()
}

#[test]
fn the_bundled_model_matches_float64() {
    let Some(gpu) = on_gpu(&bundled_model(), Precision::F16) else { return };
    let gpu = gpu.unwrap();
    let (rows, expected) = texts();
    let found = logits(&gpu, &rows);
    for (found, expected) in found.chunks(gpu.labels().len()).zip(&expected) {
        let error = largest_error(found, expected);
        assert!(error <= TOLERANCE, "off by {error:.1e}");
        let mut sorted = expected.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        if sorted[0] - sorted[1] > 2.0 * TOLERANCE {
            assert_eq!(expected[best(found)], sorted[0]);
        }
    }
}

#[test]
fn the_bundled_model_in_8_bits_has_the_labels_of_the_cpu() {
    let Some(gpu) = on_gpu(&bundled_model(), Precision::Int8) else { return };
    let gpu = gpu.unwrap();
    let cpu = Classifier::builder(bundled_model()).precision(Precision::Int8).build().unwrap();
    let (rows, _) = texts();
    let labels = gpu.labels().len();
    let [found, expected] = [&gpu, &cpu].map(|classifier| logits(classifier, &rows));
    let same =
        found.chunks(labels).zip(expected.chunks(labels)).filter(|(a, b)| best(a) == best(b));
    assert!(same.count() * 100 >= rows.len() * 99);
}

/// Checks a generated model; says whether there are kernels for its shape.
fn matches_float64(case: &Value) -> Option<bool> {
    let folder = TempDir::new().unwrap();
    GeneratedModel::of_case(case).write(folder.path());
    let gpu = match on_gpu(folder.path(), Precision::F16)? {
        Err(Error::CudaModel { .. }) => return Some(false),
        built => built.unwrap(),
    };
    for batch in list(&case["batches"]) {
        let (tokens, expected) = padded_batch(batch);
        let error = largest_error(&gpu.logits(&tokens).unwrap(), &expected);
        assert!(error <= TOLERANCE, "{}: off by {error:.1e}", case["name"]);
    }
    Some(true)
}

#[test]
fn generated_models_match_float64() {
    let (generated, full) = (golden("generated.json"), golden("full.json"));
    let cases = list(&generated).iter().chain(list(&full));
    let Some(run) = cases.map(matches_float64).collect::<Option<Vec<bool>>>() else { return };
    let with_kernels = run.iter().filter(|&&run| run).count();
    println!("{with_kernels} of {} shapes have kernels", run.len());
    assert!(with_kernels > 0);
}

#[test]
fn a_text_has_the_same_bits_in_any_batch() {
    for precision in [Precision::F16, Precision::Int8] {
        let Some(gpu) = on_gpu(&bundled_model(), precision) else { return };
        let gpu = gpu.unwrap();
        let (rows, _) = texts();
        let labels = gpu.labels().len();
        let alone: Vec<f32> = rows.iter().flat_map(|row| logits(&gpu, &[row])).collect();
        let mut dice = Dice(7);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        dice.shuffle(&mut order);
        for batch in order.chunks(33) {
            let batch_rows: Vec<&Vec<u32>> = batch.iter().map(|&row| &rows[row]).collect();
            let found = logits(&gpu, &batch_rows);
            for (&row, found) in batch.iter().zip(found.chunks(labels)) {
                assert_eq!(found, &alone[row * labels..][..labels]);
            }
        }
    }
}

#[test]
fn callers_at_the_same_time_do_not_disturb_each_other() {
    let Some(gpu) = on_gpu(&bundled_model(), Precision::F16) else { return };
    let gpu = &gpu.unwrap();
    let (rows, _) = &texts();
    let labels = gpu.labels().len();
    let expected = &logits(gpu, rows);
    thread::scope(|scope| {
        for caller in 0..8 {
            scope.spawn(move || {
                let mut dice = Dice(caller);
                for _ in 0..100 {
                    let row = dice.below(rows.len());
                    assert_eq!(logits(gpu, &[&rows[row]]), expected[row * labels..][..labels]);
                }
            });
        }
    });
}
