//! The CUDA backend on the stand-in for the driver library, which runs the kernels in software.

use std::path::Path;
use std::thread;

use distilbert::{
    Classifier, CudaDevice, Device, DeviceError, Error, Precision, TokenBatch, quantize,
};
use rayon::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use test_support::counting::{Counting, allocations};
use test_support::cuda::{
    self, TOLERANCE, assert_close, assert_int8_close, best, builder, cpu, gpu, logits, small_model,
};
use test_support::fork::succeeds_in_child;
use test_support::stand_in::{log, on_stand_in};
use test_support::{bundled_model, golden, ids, list};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STAND_IN: Device = Device::Cuda(0);

/// Returns real texts of 3 to 40 tokens, unordered by length.
fn texts() -> Vec<Vec<u32>> {
    let goldens = golden("bundled.json");
    let rows = list(&goldens["cases"]).iter().map(|case| ids(&case["ids"]));
    let rows: Vec<_> = rows.filter(|ids| ids.len() <= 40).step_by(7).take(24).collect();
    assert!(rows.len() >= 20, "only {} texts", rows.len());
    rows
}

#[test]
fn bundled_model_matches_cpu() {
    on_stand_in("host::bundled_model_matches_cpu", &[], || {
        let (model, rows) = (bundled_model(), texts());
        let expected = logits(&cpu(&model, Precision::F32), &rows);
        // The default precision on a GPU is f16.
        let gpu = builder(&model, STAND_IN).build().unwrap();
        assert_eq!((gpu.info().precision, gpu.info().device), (Precision::F16, STAND_IN));
        let together = logits(&gpu, &rows);
        assert_close(&together, &expected, TOLERANCE);
        let labels = gpu.labels().len();
        assert_eq!(best(&together, labels), best(&expected, labels));
        let alone: Vec<f32> = rows.iter().flat_map(|row| logits(&gpu, &[row])).collect();
        assert_eq!(alone, together, "a text's result depends on its batch");
    });
}

#[test]
fn int8_is_as_exact_as_on_the_cpu() {
    on_stand_in("host::int8_is_as_exact_as_on_the_cpu", &[], || {
        let (model, rows) = (bundled_model(), texts());
        let expected = logits(&cpu(&model, Precision::Int8), &rows);
        let gpu = gpu(&model, STAND_IN, Precision::Int8);
        let together = logits(&gpu, &rows);
        let labels = gpu.labels().len();
        let exact = logits(&cpu(&model, Precision::F32), &rows);
        assert_int8_close(&together, &expected, &exact);
        assert_eq!(best(&together, labels), best(&expected, labels));
        let alone: Vec<f32> = rows.iter().flat_map(|row| logits(&gpu, &[row])).collect();
        assert_eq!(alone, together, "a text's result depends on its batch");

        // The CPU multiplies by the same integers, those of the stored checkpoint.
        let stored = TempDir::new().unwrap();
        let folder = stored.path().join("int8");
        quantize(&model, &folder).unwrap();
        let stored = builder(&folder, STAND_IN).build().unwrap();
        assert_eq!(stored.info().precision, Precision::Int8);
        assert_eq!(logits(&stored, &rows[..4]), together[..4 * labels]);
    });
}

macro_rules! on_stand_in {
    ($($check:ident)*) => {
        $(#[test]
        fn $check() {
            on_stand_in(concat!("host::", stringify!($check)), &[], || cuda::$check(STAND_IN));
        })*
    };
}
on_stand_in! {
    all_head_sizes_match_cpu
    pruned_layers_match_cpu
    graphs_serve_batches_of_their_shape
    rows_are_bit_identical_in_batches_of_any_size
    masked_tokens_keep_positions
    supports_concurrent_callers
}

#[test]
fn warm_call_launches_one_graph_without_allocations() {
    on_stand_in("host::warm_call_launches_one_graph_without_allocations", &[], || {
        let folder = small_model(&[]);
        let gpu = gpu(folder.path(), STAND_IN, Precision::F16);
        let batches = [vec![7, 8, 9], vec![17, 18, 19, 20]];
        let [first, second] = batches.map(|row| TokenBatch::from_rows(&[row]).unwrap());
        let mut logits = Vec::new();
        let cold = allocations();
        gpu.logits_into(&first, &mut logits).unwrap();
        assert!(allocations() > cold, "the allocator does not count");
        let before = log().len();
        let warm = allocations();
        gpu.logits_into(&second, &mut logits).unwrap();
        // The stand-in is a library with its own allocator, so these are allocations of the host code.
        assert_eq!(allocations() - warm, 0);
        let warm = log().split_off(before);
        let kernels = [
            "embeddings_f16 16x1x1",
            // All layers but the last.
            "linear_f16_bias_16x32 6x1x1",
            "attention_32 1x2x1",
            "linear_f16_bias_residual_16x32 2x1x1",
            "layer_norm 16x1x1",
            "linear_f16_bias_gelu_16x32 4x1x1",
            "linear_f16_bias_residual_16x32 2x1x1",
            "layer_norm 16x1x1",
            // The last layer computes keys and values of all tokens, and the rest for the first token only.
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
fn lists_devices() {
    let settings = [("STAND_IN_DEVICES", "2"), ("STAND_IN_CAPABILITY", "8.6")];
    on_stand_in("host::lists_devices", &settings, || {
        let devices = CudaDevice::list().unwrap();
        let found: Vec<_> =
            devices.iter().map(|device| (device.ordinal, device.compute_capability)).collect();
        assert_eq!(found, [(0, (8, 6)), (1, (8, 6))]);
        let folder = small_model(&[]);
        let second = Classifier::builder(folder.path()).device(Device::Cuda(1)).build().unwrap();
        assert_eq!(second.info().device, Device::Cuda(1));
        let missing =
            Classifier::builder(folder.path()).device(Device::Cuda(2)).build().err().unwrap();
        assert!(
            matches!(missing, Error::Device(DeviceError::NoCudaDevice { ordinal: 2, count: 2 })),
            "{missing}"
        );
    });
}

/// Checks the error for a GPU that can't be used, and that the automatic choice falls back to the CPU.
#[track_caller]
fn refused(model: &Path, is_expected: impl Fn(&Error) -> bool) {
    let error = builder(model, STAND_IN).build().err().unwrap();
    assert!(is_expected(&error), "{error}");
    let automatic = Classifier::builder(model).device(Device::Auto).build().unwrap();
    assert_eq!(automatic.info().device, Device::Cpu);
    assert_eq!(automatic.info().precision, Precision::F32);
}

#[test]
fn no_device() {
    on_stand_in("host::no_device", &[("STAND_IN_DEVICES", "0")], || {
        assert_eq!(CudaDevice::list().unwrap(), []);
        refused(small_model(&[]).path(), |error| {
            matches!(error, Error::Device(DeviceError::NoCudaDevice { ordinal: 0, count: 0 }))
        });
    });
}

#[test]
fn rejects_old_device() {
    on_stand_in("host::rejects_old_device", &[("STAND_IN_CAPABILITY", "7.5")], || {
        assert_eq!(CudaDevice::list().unwrap()[0].compute_capability, (7, 5));
        refused(small_model(&[]).path(), |error| {
            matches!(
                error,
                Error::Device(DeviceError::CudaCapability { found: (7, 5), needed: (8, 0), .. })
            )
        });
    });
}

#[test]
fn rejects_old_driver() {
    on_stand_in("host::rejects_old_driver", &[("STAND_IN_DRIVER_VERSION", "11080")], || {
        refused(
            small_model(&[]).path(),
            |error| matches!(error, Error::Device(DeviceError::CudaDriver { reason }) if reason.contains("11.8")),
        );
    });
}

#[test]
fn rejects_insufficient_memory() {
    on_stand_in("host::rejects_insufficient_memory", &[("STAND_IN_MEMORY", "1000000")], || {
        refused(
            small_model(&[]).path(),
            |error| matches!(error, Error::Device(DeviceError::CudaMemory { needed, free }) if needed > free && *free < 1_000_000),
        );
    });
}

/// Only the thread that forks exists in a child: no thread of a pool does.
#[test]
fn a_child_loads_a_model_after_its_parent_has_used_rayon() {
    on_stand_in("host::a_child_loads_a_model_after_its_parent_has_used_rayon", &[], || {
        assert_eq!((0..100).into_par_iter().sum::<i32>(), 4950);
        let folder = small_model(&[]);
        assert!(succeeds_in_child(|| {
            logits(&gpu(folder.path(), STAND_IN, Precision::F16), &[[7, 8, 9]]);
        }));
    });
}

/// If memory suffices for only one execution context, callers take turns.
#[test]
fn callers_share_lanes_if_memory_is_scarce() {
    on_stand_in(
        "host::callers_share_lanes_if_memory_is_scarce",
        &[("STAND_IN_MEMORY", "16000000")],
        || {
            let folder = small_model(&[]);
            let gpu = &gpu(folder.path(), STAND_IN, Precision::F16);
            let expected = &logits(gpu, &[[7, 8, 9]]);
            thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(move || assert_eq!(&logits(gpu, &[[7, 8, 9]]), expected));
                }
            });
        },
    );
}

#[test]
fn rejects_unsupported_model_and_precision() {
    on_stand_in("host::rejects_unsupported_model_and_precision", &[], || {
        let fields: [(&[(&str, Value)], &str); 2] =
            [(&[("dim", 36.into())], "dim"), (&[("n_heads", 8.into())], "dim / n_heads")];
        for (changes, named) in fields {
            refused(
                small_model(changes).path(),
                |error| matches!(error, Error::Device(DeviceError::CudaModel { field, .. }) if *field == named),
            );
        }
        // Only quantization has a limit.
        let wide = small_model(&[("hidden_dim", 4160.into())]);
        let error =
            builder(wide.path(), STAND_IN).precision(Precision::Int8).build().err().unwrap();
        assert!(
            matches!(error, Error::Device(DeviceError::CudaModel { field: "hidden_dim", .. })),
            "{error}"
        );
        let expected = logits(&cpu(wide.path(), Precision::F32), &[[7, 8, 9]]);
        let found = logits(&gpu(wide.path(), STAND_IN, Precision::F16), &[[7, 8, 9]]);
        assert_close(&found, &expected, TOLERANCE);

        let folder = small_model(&[]);
        let error =
            builder(folder.path(), STAND_IN).precision(Precision::F32).build().err().unwrap();
        assert!(
            matches!(
                error,
                Error::Device(DeviceError::CudaPrecision { requested: Precision::F32 })
            ),
            "{error}"
        );
        let automatic = Classifier::builder(folder.path()).device(Device::Auto);
        assert_eq!(automatic.clone().build().unwrap().info().device, Device::Cuda(0));
        let exact = automatic.precision(Precision::F32).build().unwrap();
        assert_eq!(exact.info().device, Device::Cpu);
    });
}

/// Runs without the stand-in; a machine with the driver skips it.
#[test]
fn no_driver() {
    if CudaDevice::list().is_ok() {
        println!("skipped: this machine has an NVIDIA driver");
        return;
    }
    refused(small_model(&[]).path(), |error| {
        matches!(error, Error::Device(DeviceError::CudaDriver { .. }))
    });
}
