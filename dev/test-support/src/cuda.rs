//! Checks of the CUDA backend that hold on every device: the stand-in for the driver, and a GPU.

use std::path::Path;
use std::thread;

use distilbert::{Classifier, ClassifierBuilder, CudaDevice, Device, Precision, TokenBatch};
use serde_json::Value;
use tempfile::TempDir;

use crate::Dice;
use crate::generator::GeneratedModel;

/// Largest error of a logit in f16.
pub const TOLERANCE: f32 = 2e-2;

/// Returns the first GPU that can run the kernels, or prints why the test is skipped.
pub fn hardware() -> Option<Device> {
    let reason = match CudaDevice::list() {
        Ok(devices) => {
            let is_new = |device: &&CudaDevice| device.compute_capability >= (8, 0);
            if let Some(device) = devices.iter().find(is_new) {
                println!("on {}", device.name);
                return Some(Device::Cuda(device.ordinal));
            }
            format!("none of {} GPUs has compute capability 8.0", devices.len())
        }
        Err(error) => error.to_string(),
    };
    println!("skipped: {reason}");
    None
}

pub fn builder(model: &Path, device: Device) -> ClassifierBuilder {
    Classifier::builder(model).device(device)
}

pub fn gpu(model: &Path, device: Device, precision: Precision) -> Classifier {
    builder(model, device).precision(precision).build().unwrap()
}

pub fn cpu(model: &Path, precision: Precision) -> Classifier {
    Classifier::builder(model).precision(precision).build().unwrap()
}

pub fn logits<R: AsRef<[u32]>>(classifier: &Classifier, rows: &[R]) -> Vec<f32> {
    classifier.logits(&TokenBatch::from_rows(rows).unwrap()).unwrap()
}

#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        // Written so that NaN fails as well.
        assert!(error <= tolerance, "expected {expected}, found {found}: error {error}");
    }
}

/// Checks int8 logits. Rounding to f16 between products changes the quantization of some inputs, as f32 on the CPU does
/// against float64; the difference is at most that of quantization itself.
#[track_caller]
pub fn assert_int8_close(found: &[f32], of_cpu: &[f32], exact: &[f32]) {
    let rounding = mean_error(of_cpu, exact);
    assert!(mean_error(found, of_cpu) < rounding);
    assert!(mean_error(found, exact) < 1.25 * rounding);
}

pub fn mean_error(found: &[f32], expected: &[f32]) -> f32 {
    let errors = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    errors.sum::<f32>() / expected.len() as f32
}

/// Returns the largest logit of each row.
pub fn best(logits: &[f32], labels: usize) -> Vec<usize> {
    let best = |row: &[f32]| (0..labels).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    logits.chunks_exact(labels).map(best).collect()
}

/// Creates a small model of a width that the kernels support, with changes to its configuration.
pub fn small_model(changes: &[(&str, Value)]) -> TempDir {
    let mut config = GeneratedModel::small().config;
    for (field, value) in [("dim", 64), ("n_heads", 2), ("hidden_dim", 128)] {
        config[field] = value.into();
    }
    for (field, value) in changes {
        config[*field] = value.clone();
    }
    let folder = TempDir::new().unwrap();
    GeneratedModel::new(config, 5).write(folder.path());
    folder
}

/// Layers that differ in heads and width, neither of which the kernels' steps divide.
pub fn pruned_layers_match_cpu(device: Device) {
    let rows = random_rows(&mut Dice(4), 9, 30);
    let folder = TempDir::new().unwrap();
    GeneratedModel::pruned().write(folder.path());
    let model = folder.path();
    let exact = logits(&cpu(model, Precision::F32), &rows);
    let together = logits(&gpu(model, device, Precision::F16), &rows);
    assert_close(&together, &exact, TOLERANCE);
    let gpu = gpu(model, device, Precision::Int8);
    let of_cpu = logits(&cpu(model, Precision::Int8), &rows);
    let together = logits(&gpu, &rows);
    assert_int8_close(&together, &of_cpu, &exact);
    let alone: Vec<f32> = rows.iter().flat_map(|row| logits(&gpu, &[row])).collect();
    assert_eq!(alone, together, "a text's result depends on its batch");
}

fn random_rows(dice: &mut Dice, count: usize, longest: usize) -> Vec<Vec<u32>> {
    let row = |dice: &mut Dice| (0..=dice.below(longest)).map(|_| dice.below(100) as u32).collect();
    (0..count).map(|_| row(dice)).collect()
}

pub fn all_head_sizes_match_cpu(device: Device) {
    let rows = random_rows(&mut Dice(1), 9, 30);
    let shapes = [(64, 4, "gelu"), (64, 2, "relu"), (192, 3, "gelu"), (128, 1, "gelu")];
    for (dim, heads, activation) in shapes {
        let folder = small_model(&[
            ("dim", dim.into()),
            ("n_heads", heads.into()),
            ("activation", activation.into()),
        ]);
        let model = folder.path();
        let exact = logits(&cpu(model, Precision::F32), &rows);
        assert_close(&logits(&gpu(model, device, Precision::F16), &rows), &exact, TOLERANCE);
        let of_cpu = logits(&cpu(model, Precision::Int8), &rows);
        assert_int8_close(&logits(&gpu(model, device, Precision::Int8), &rows), &of_cpu, &exact);
    }
}

pub fn graphs_serve_batches_of_their_shape(device: Device) {
    let folder = small_model(&[]);
    for precision in [Precision::F16, Precision::Int8] {
        let used = gpu(folder.path(), device, precision);
        // All are rounded up to 16 tokens, in one or two sequences.
        let batches: [&[Vec<u32>]; 5] = [
            &[vec![7, 8, 9]],
            &[(20..36).collect()],
            &[vec![50; 5], vec![60; 6]],
            &[vec![30; 11]],
            &[vec![7, 8, 9]],
        ];
        for rows in batches {
            let fresh = gpu(folder.path(), device, precision);
            assert_eq!(logits(&used, rows), logits(&fresh, rows));
        }
    }
}

pub fn rows_are_bit_identical_in_batches_of_any_size(device: Device) {
    let folder = small_model(&[("n_layers", 1.into())]);
    let gpu = gpu(folder.path(), device, Precision::F16);
    let labels = gpu.labels().len();
    let mut dice = Dice(2);
    // More rows than are processed at once, more graphs than are cached, and more tokens.
    let rows = random_rows(&mut dice, 1100, 8);
    let together = logits(&gpu, &rows);
    for count in [1, 2, 3, 5, 9, 17, 33, 65] {
        for start in (0..rows.len() - count).step_by(123) {
            let rows = &rows[start..start + count];
            assert_eq!(logits(&gpu, rows), together[start * labels..(start + count) * labels]);
        }
    }
    let longest = gpu.config().max_position_embeddings;
    let long: Vec<Vec<u32>> =
        (0..4200 / longest + 1).map(|row| vec![row as u32; longest]).collect();
    let together = logits(&gpu, &long);
    let last = long.last().unwrap();
    assert_eq!(logits(&gpu, &[last]), together[together.len() - labels..]);
}

pub fn masked_tokens_keep_positions(device: Device) {
    let folder = small_model(&[]);
    let batch =
        TokenBatch::from_padded(&[7, 8, 9, 10, 5, 6, 0, 0], &[1, 0, 1, 1, 1, 1, 0, 0], 4).unwrap();
    let expected = cpu(folder.path(), Precision::F32).logits(&batch).unwrap();
    let found = gpu(folder.path(), device, Precision::F16).logits(&batch).unwrap();
    assert_close(&found, &expected, TOLERANCE);
}

pub fn supports_concurrent_callers(device: Device) {
    let folder = small_model(&[]);
    let gpu = &gpu(folder.path(), device, Precision::F16);
    let rows = &random_rows(&mut Dice(3), 40, 20);
    let labels = gpu.labels().len();
    let expected = &logits(gpu, rows);
    // More callers than execution contexts.
    thread::scope(|scope| {
        for caller in 0..7 {
            scope.spawn(move || {
                let mut dice = Dice(caller);
                for _ in 0..6 {
                    let row = dice.below(rows.len());
                    let found = logits(gpu, &[&rows[row]]);
                    assert_eq!(found, expected[row * labels..(row + 1) * labels]);
                }
            });
        }
    });
}
