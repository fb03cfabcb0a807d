//! The CUDA engine on the stand-in for the driver's library, which runs the kernels in software.

mod support;

use std::path::Path;
use std::thread;

use distilbert::{
    Classifier, ClassifierBuilder, CudaDevice, Device, Error, Precision, TokenBatch, quantize,
};
use serde_json::Value;
use support::generator::GeneratedModel;
use support::stand_in::{log, on_stand_in};
use support::{Dice, best, bundled_model, golden, ids, list};
use tempfile::TempDir;

/// The largest difference of a logit from the CPU's in f32.
const TOLERANCE: f32 = 2e-2;

fn gpu(model: &Path, precision: Precision) -> Classifier {
    on_gpu(model).precision(precision).build().unwrap()
}

fn on_gpu(model: &Path) -> ClassifierBuilder {
    Classifier::builder(model).device(Device::Cuda(0))
}

fn cpu(model: &Path, precision: Precision) -> Classifier {
    Classifier::builder(model).precision(precision).threads(1).build().unwrap()
}

fn logits<R: AsRef<[u32]>>(classifier: &Classifier, rows: &[R]) -> Vec<f32> {
    classifier.logits(&TokenBatch::from_rows(rows).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        // Written so that a result that is no number fails too.
        assert!(error <= tolerance, "expected {expected}, found {found}: off by {error}");
    }
}

fn mean_error(found: &[f32], expected: &[f32]) -> f32 {
    let errors = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    errors.sum::<f32>() / expected.len() as f32
}

/// Real texts of 3 to 40 tokens, in no order of their lengths.
fn texts() -> Vec<Vec<u32>> {
    let goldens = golden("bundled.json");
    let rows = list(&goldens["cases"]).iter().map(|case| ids(&case["ids"]));
    let rows: Vec<_> = rows.filter(|ids| ids.len() <= 40).step_by(7).take(24).collect();
    assert!(rows.len() >= 20, "only {} texts", rows.len());
    rows
}

/// A small model of a width that the kernels take, with these fields of its configuration changed.
fn small_model(changes: &[(&str, Value)]) -> TempDir {
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

fn random_rows(dice: &mut Dice, count: usize, longest: usize) -> Vec<Vec<u32>> {
    let row = |dice: &mut Dice| (0..=dice.below(longest)).map(|_| dice.below(100) as u32).collect();
    (0..count).map(|_| row(dice)).collect()
}

#[test]
fn the_bundled_model_gives_the_logits_of_the_cpu() {
    on_stand_in("the_bundled_model_gives_the_logits_of_the_cpu", &[], || {
        let (model, rows) = (bundled_model(), texts());
        let expected = logits(&cpu(&model, Precision::F32), &rows);
        // Halves are what a GPU takes by itself.
        let gpu = on_gpu(&model).build().unwrap();
        assert_eq!((gpu.info().precision, gpu.info().device), (Precision::F16, Device::Cuda(0)));
        let together = logits(&gpu, &rows);
        assert_close(&together, &expected, TOLERANCE);
        let labels = gpu.labels().len();
        for (found, expected) in together.chunks(labels).zip(expected.chunks(labels)) {
            assert_eq!(best(found), best(expected));
        }
        let alone: Vec<f32> = rows.iter().flat_map(|row| logits(&gpu, &[row])).collect();
        assert_eq!(alone, together, "a text depends on its batch");
    });
}

#[test]
fn the_bundled_model_in_8_bits_has_the_integers_of_the_cpu() {
    on_stand_in("the_bundled_model_in_8_bits_has_the_integers_of_the_cpu", &[], || {
        let (model, rows) = (bundled_model(), texts());
        let expected = logits(&cpu(&model, Precision::Int8), &rows);
        let gpu = gpu(&model, Precision::Int8);
        let together = logits(&gpu, &rows);
        let labels = gpu.labels().len();
        // Halves between the products flip the rounding of some inputs, as f32 does on the CPU against
        // float64: by no more than rounding itself changes.
        let exact = logits(&cpu(&model, Precision::F32), &rows);
        let of_cpu = mean_error(&expected, &exact);
        assert!(mean_error(&together, &expected) < of_cpu);
        assert!(mean_error(&together, &exact) < 1.25 * of_cpu);
        for (found, expected) in together.chunks(labels).zip(expected.chunks(labels)) {
            assert_eq!(best(found), best(expected));
        }
        let alone: Vec<f32> = rows.iter().flat_map(|row| logits(&gpu, &[row])).collect();
        assert_eq!(alone, together, "a text depends on its batch");

        // The integers of a stored checkpoint are those that the CPU multiplies with.
        let stored = TempDir::new().unwrap();
        let folder = stored.path().join("int8");
        quantize(&model, &folder).unwrap();
        let stored = on_gpu(&folder).build().unwrap();
        assert_eq!(stored.info().precision, Precision::Int8);
        assert_eq!(logits(&stored, &rows[..4]), together[..4 * labels]);
    });
}

#[test]
fn models_of_all_head_sizes_give_the_logits_of_the_cpu() {
    on_stand_in("models_of_all_head_sizes_give_the_logits_of_the_cpu", &[], || {
        let rows = random_rows(&mut Dice(1), 9, 30);
        let shapes = [(64, 4, "gelu"), (64, 2, "relu"), (192, 3, "gelu"), (128, 1, "gelu")];
        for (dim, heads, activation) in shapes {
            let folder = small_model(&[
                ("dim", dim.into()),
                ("n_heads", heads.into()),
                ("activation", activation.into()),
            ]);
            let expected = logits(&cpu(folder.path(), Precision::F32), &rows);
            let found = logits(&gpu(folder.path(), Precision::F16), &rows);
            assert_close(&found, &expected, TOLERANCE);
            let rounded = logits(&cpu(folder.path(), Precision::Int8), &rows);
            let found = logits(&gpu(folder.path(), Precision::Int8), &rows);
            let of_cpu = mean_error(&rounded, &expected);
            assert!(mean_error(&found, &rounded) < of_cpu);
            assert!(mean_error(&found, &expected) < 1.25 * of_cpu);
        }
    });
}

#[test]
fn a_graph_serves_other_batches_of_its_shape() {
    on_stand_in("a_graph_serves_other_batches_of_its_shape", &[], || {
        let folder = small_model(&[]);
        for precision in [Precision::F16, Precision::Int8] {
            let used = gpu(folder.path(), precision);
            // All of 16 tokens when rounded up, in one or two sequences.
            let batches: [&[Vec<u32>]; 5] = [
                &[vec![7, 8, 9]],
                &[(20..36).collect()],
                &[vec![50; 5], vec![60; 6]],
                &[vec![30; 11]],
                &[vec![7, 8, 9]],
            ];
            for rows in batches {
                let fresh = gpu(folder.path(), precision);
                assert_eq!(logits(&used, rows), logits(&fresh, rows));
            }
        }
    });
}

#[test]
fn batches_of_any_size_give_what_their_rows_give_alone() {
    on_stand_in("batches_of_any_size_give_what_their_rows_give_alone", &[], || {
        let folder = small_model(&[("n_layers", 1.into())]);
        let gpu = gpu(folder.path(), Precision::F16);
        let labels = gpu.labels().len();
        let mut dice = Dice(2);
        // More rows than go through at once, more graphs than are kept, and more tokens.
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
    });
}

#[test]
fn tokens_keep_their_positions_where_others_are_masked() {
    on_stand_in("tokens_keep_their_positions_where_others_are_masked", &[], || {
        let folder = small_model(&[]);
        let batch =
            TokenBatch::from_padded(&[7, 8, 9, 10, 5, 6, 0, 0], &[1, 0, 1, 1, 1, 1, 0, 0], 4)
                .unwrap();
        let expected = cpu(folder.path(), Precision::F32).logits(&batch).unwrap();
        let found = gpu(folder.path(), Precision::F16).logits(&batch).unwrap();
        assert_close(&found, &expected, TOLERANCE);
    });
}

#[test]
fn callers_at_the_same_time_do_not_disturb_each_other() {
    on_stand_in("callers_at_the_same_time_do_not_disturb_each_other", &[], || {
        let folder = small_model(&[]);
        let gpu = &gpu(folder.path(), Precision::F16);
        let rows = &random_rows(&mut Dice(3), 40, 20);
        let labels = gpu.labels().len();
        let expected = &logits(gpu, rows);
        // More than there are lanes.
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
    });
}

#[test]
fn a_warm_call_launches_one_graph_and_allocates_nothing() {
    on_stand_in("a_warm_call_launches_one_graph_and_allocates_nothing", &[], || {
        let folder = small_model(&[]);
        let gpu = gpu(folder.path(), Precision::F16);
        logits(&gpu, &[[7, 8, 9]]);
        let before = log().len();
        logits(&gpu, &[[17, 18, 19, 20]]);
        let warm = log().split_off(before);
        let kernels = [
            "embeddings_f16 16x1x1",
            // The layers but the last.
            "linear_f16_bias_16x32 6x1x1",
            "attention_32 1x2x1",
            "linear_f16_bias_residual_16x32 2x1x1",
            "layer_norm 16x1x1",
            "linear_f16_bias_gelu_16x32 4x1x1",
            "linear_f16_bias_residual_16x32 2x1x1",
            "layer_norm 16x1x1",
            // Keys and values of all tokens, and the rest for the first alone.
            "linear_f16_bias_16x32 4x1x1",
            "gather_first_rows 1x1x1",
            "linear_f16_bias_16x32 2x1x1",
            "attention_first_32 1x2x1",
            "linear_f16_bias_residual_16x32 2x1x1",
            "layer_norm 1x1x1",
            "linear_f16_bias_gelu_16x32 4x1x1",
            "linear_f16_bias_residual_16x32 2x1x1",
            "layer_norm 1x1x1",
            // The head.
            "linear_f16_bias_relu_16x32 2x1x1",
            "classifier_f16 2x1x1",
        ];
        let mut expected = vec!["synchronize_stream".to_owned(), "copy_to_device 132".to_owned()];
        expected.push(format!("graph {}", kernels.len()));
        expected.extend(kernels.map(|kernel| format!("  kernel {kernel}")));
        expected.push("copy_to_host 28".to_owned());
        assert_eq!(warm, expected);
    });
}

#[test]
fn devices_are_listed() {
    let settings = [("STAND_IN_DEVICES", "2"), ("STAND_IN_CAPABILITY", "8.6")];
    on_stand_in("devices_are_listed", &settings, || {
        let devices = CudaDevice::list().unwrap();
        let found: Vec<_> =
            devices.iter().map(|device| (device.ordinal, device.compute_capability)).collect();
        assert_eq!(found, [(0, (8, 6)), (1, (8, 6))]);
        let folder = small_model(&[]);
        let second = Classifier::builder(folder.path()).device(Device::Cuda(1)).build().unwrap();
        assert_eq!(second.info().device, Device::Cuda(1));
        let missing =
            Classifier::builder(folder.path()).device(Device::Cuda(2)).build().err().unwrap();
        assert!(matches!(missing, Error::NoCudaDevice { ordinal: 2, count: 2 }), "{missing}");
    });
}

/// Checks the error of a GPU that cannot be used, and that the CPU takes over where it may.
#[track_caller]
fn refused(model: &Path, is_expected: impl Fn(&Error) -> bool) {
    let error = on_gpu(model).build().err().unwrap();
    assert!(is_expected(&error), "{error}");
    let automatic = Classifier::builder(model).device(Device::Auto).build().unwrap();
    assert_eq!(automatic.info().device, Device::Cpu);
    assert_eq!(automatic.info().precision, Precision::F32);
}

#[test]
fn no_device() {
    on_stand_in("no_device", &[("STAND_IN_DEVICES", "0")], || {
        assert_eq!(CudaDevice::list().unwrap(), []);
        refused(small_model(&[]).path(), |error| {
            matches!(error, Error::NoCudaDevice { ordinal: 0, count: 0 })
        });
    });
}

#[test]
fn too_old_a_device() {
    on_stand_in("too_old_a_device", &[("STAND_IN_CAPABILITY", "7.5")], || {
        assert_eq!(CudaDevice::list().unwrap()[0].compute_capability, (7, 5));
        refused(small_model(&[]).path(), |error| {
            matches!(error, Error::CudaCapability { found: (7, 5), needed: (8, 0), .. })
        });
    });
}

#[test]
fn too_old_a_driver() {
    on_stand_in("too_old_a_driver", &[("STAND_IN_DRIVER_VERSION", "11080")], || {
        refused(
            small_model(&[]).path(),
            |error| matches!(error, Error::CudaDriver { reason } if reason.contains("11.8")),
        );
    });
}

#[test]
fn too_little_memory() {
    on_stand_in("too_little_memory", &[("STAND_IN_MEMORY", "1000000")], || {
        refused(
            small_model(&[]).path(),
            |error| matches!(error, Error::CudaMemory { needed, free } if needed > free && *free < 1_000_000),
        );
    });
}

/// Where memory is left for one lane alone, callers take turns.
#[test]
fn memory_for_few_lanes() {
    on_stand_in("memory_for_few_lanes", &[("STAND_IN_MEMORY", "16000000")], || {
        let folder = small_model(&[]);
        let gpu = &gpu(folder.path(), Precision::F16);
        let expected = &logits(gpu, &[[7, 8, 9]]);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(move || assert_eq!(&logits(gpu, &[[7, 8, 9]]), expected));
            }
        });
    });
}

#[test]
fn a_model_or_precision_without_kernels() {
    on_stand_in("a_model_or_precision_without_kernels", &[], || {
        let fields: [(&[(&str, Value)], &str); 3] = [
            (&[("dim", 36.into())], "dim"),
            (&[("hidden_dim", 100.into())], "hidden_dim"),
            (&[("n_heads", 8.into())], "dim / n_heads"),
        ];
        for (changes, named) in fields {
            refused(
                small_model(changes).path(),
                |error| matches!(error, Error::CudaModel { field, .. } if *field == named),
            );
        }
        let folder = small_model(&[]);
        let error = on_gpu(folder.path()).precision(Precision::F32).build().err().unwrap();
        assert!(matches!(error, Error::CudaPrecision { requested: Precision::F32 }), "{error}");
        let automatic = Classifier::builder(folder.path()).device(Device::Auto);
        assert_eq!(automatic.clone().build().unwrap().info().device, Device::Cuda(0));
        let exact = automatic.precision(Precision::F32).build().unwrap();
        assert_eq!(exact.info().device, Device::Cpu);
    });
}

/// Without the stand-in. A machine that has the driver has nothing to show here.
#[test]
fn no_driver() {
    if CudaDevice::list().is_ok() {
        println!("skipped: this machine has an NVIDIA driver");
        return;
    }
    refused(small_model(&[]).path(), |error| matches!(error, Error::CudaDriver { .. }));
}

/// The program, on a machine with a GPU and without.
#[cfg(feature = "cli")]
mod program {
    use std::process::{Command, Output};

    use super::support::bundled_model;
    use super::support::stand_in::library_folder;

    fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_distilbert"))
            .args(arguments)
            .arg("--model")
            .arg(bundled_model())
            .env("LD_LIBRARY_PATH", library_folder())
            .envs(settings.iter().copied())
            .output()
            .unwrap()
    }

    #[test]
    fn classifies_on_the_gpu() {
        let output =
            run(&["classify", "--device", "cuda", "--json", "I can't believe we won!"], &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.contains(r#""label":"happiness""#), "{text}");
    }

    #[test]
    fn lists_the_gpus() {
        let output = run(&["info", "--json"], &[("STAND_IN_CAPABILITY", "8.9")]);
        let info: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(info["device"], "cpu");
        assert_eq!(info["cuda_devices"][0]["device"], "cuda:0");
        assert_eq!(info["cuda_devices"][0]["compute_capability"], "8.9");
        let output = run(&["info"], &[]);
        assert!(String::from_utf8(output.stdout).unwrap().contains("cuda:0"));
    }

    #[test]
    fn says_in_one_line_that_there_is_no_gpu() {
        let output = run(&["classify", "--device", "cuda", "hi"], &[("STAND_IN_DEVICES", "0")]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.starts_with("error: there is no GPU 0"), "{message}");
        let output = run(&["classify", "--device", "auto", "hi"], &[("STAND_IN_DEVICES", "0")]);
        assert!(output.status.success());
    }
}
