//! int8: checkpoints written by `quantize`, and identical results on every instruction set.

use std::path::Path;

use distilbert::{
    CheckpointError, Classifier, Error, InstructionSet, Precision, TokenBatch, quantize,
};
use safetensors::Dtype;
use serde_json::Value;
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::{PORTABLE_TOLERANCE, bundled_model, golden, ids, largest_error, list, sets};

fn logits(model: &Path, set: InstructionSet, batch: &TokenBatch) -> Vec<f32> {
    let builder = Classifier::builder(model).instruction_set(set).precision(Precision::Int8);
    builder.build().unwrap().logits(batch).unwrap()
}

/// Checks that a model and its quantized copy agree bit for bit if the copy is loaded with the default precision.
fn check(model: &Path, batch: &TokenBatch) {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copies/int8");
    quantize(model, &copy).unwrap();
    let portable = logits(model, InstructionSet::Portable, batch);
    let mut on_first_set = None;
    for set in sets() {
        let expected = logits(model, set, batch);
        let classifier = Classifier::builder(&copy).instruction_set(set).build().unwrap();
        assert_eq!(classifier.info().precision, Precision::Int8);
        assert_eq!(classifier.logits(batch).unwrap(), expected, "on {set}");
        if set == InstructionSet::Portable {
            continue;
        }
        assert_eq!(on_first_set.get_or_insert(expected.clone()), &expected, "on {set}");
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        let difference = largest_error(&portable, &expected);
        assert!(difference <= PORTABLE_TOLERANCE, "{difference} on {set}");
    }
}

#[test]
fn quantized_copy_is_bit_identical() {
    let rows: Vec<Vec<u32>> =
        (1..40).map(|len| (0..len).map(|id| id * 3 % 120).collect()).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    let folder = TempDir::new().unwrap();
    for (index, model) in [
        GeneratedModel::small(),
        GeneratedModel::small().stored_as(Dtype::F16),
        GeneratedModel::small().prefixed(),
    ]
    .iter()
    .enumerate()
    {
        let folder = folder.path().join(index.to_string());
        std::fs::create_dir(&folder).unwrap();
        if index == 2 {
            model.write_sharded(&folder)
        } else {
            model.write(&folder)
        }
        check(&folder, &batch);
    }
}

#[test]
fn quantized_copy_of_bundled_model_is_bit_identical() {
    let goldens = golden("bundled.json");
    let rows: Vec<Vec<u32>> =
        list(&goldens["cases"]).iter().map(|case: &Value| ids(&case["ids"])).collect();
    check(&bundled_model(), &TokenBatch::from_rows(&rows).unwrap());
}

#[test]
fn quantizing_twice_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let [model, copy, second] = ["model", "copy", "second"].map(|name| folder.path().join(name));
    std::fs::create_dir(&model).unwrap();
    GeneratedModel::small().write(&model);
    quantize(&model, &copy).unwrap();
    quantize(&copy, &second).unwrap();
    let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&copy) == weights(&second));
}

#[test]
fn quantized_copy_loads_in_f32() {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy");
    GeneratedModel::small().write(folder.path());
    quantize(folder.path(), &copy).unwrap();
    let batch = TokenBatch::from_rows(&[vec![1, 2, 3]]).unwrap();
    let in_f32 = Classifier::builder(&copy).precision(Precision::F32).build().unwrap();
    let whole = Classifier::builder(folder.path()).build().unwrap();
    let expected: Vec<f64> = whole.logits(&batch).unwrap().into_iter().map(f64::from).collect();
    let difference = largest_error(&in_f32.logits(&batch).unwrap(), &expected);
    assert!(difference > 0.0 && difference < 0.2, "{difference}");
}

#[test]
fn never_overwrites_existing_weights() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let error = quantize(folder.path(), folder.path()).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Exists { .. })), "{error}");
}

#[test]
fn rejects_invalid_source_before_writing() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let missing = quantize(folder.path().join("nothing"), &out).unwrap_err();
    assert!(matches!(missing, Error::Checkpoint(CheckpointError::NoModel { .. })), "{missing}");
    let mut model = GeneratedModel::small();
    model.tensors.remove("classifier.bias");
    model.write(folder.path());
    let damaged = quantize(folder.path(), &out).unwrap_err();
    assert!(
        matches!(damaged, Error::Checkpoint(CheckpointError::MissingTensor { .. })),
        "{damaged}"
    );
    assert!(!out.exists());
}

/// Replaces a tensor of a quantized model and returns the error of loading it.
fn error_with(name: &str, tensor: Option<Tensor>) -> Error {
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy");
    GeneratedModel::small().write(folder.path());
    quantize(folder.path(), &copy).unwrap();
    let mut model = GeneratedModel { tensors: Tensor::read_all(&copy), ..GeneratedModel::small() };
    match tensor {
        Some(tensor) => model.tensors.insert(name.to_owned(), tensor),
        None => model.tensors.remove(name),
    };
    model.write(&copy);
    Classifier::builder(&copy).build().expect_err("the model should be rejected")
}

#[test]
fn names_the_corrupted_tensor() {
    const WEIGHT: &str = "transformer.layer.1.attention.k_lin.weight";
    const SCALE: &str = "transformer.layer.1.attention.k_lin.weight_scale";
    let mut bytes = vec![0; 32 * 32];
    bytes[40] = 100;
    let too_large = Tensor { dtype: Dtype::I8, shape: vec![32, 32], bytes };
    match error_with(WEIGHT, Some(too_large)) {
        Error::Checkpoint(CheckpointError::OutOfRange { name, index: 40, found: 100.0 }) => {
            assert_eq!(name, WEIGHT)
        }
        other => panic!("{other}"),
    }
    match error_with(SCALE, None) {
        Error::Checkpoint(CheckpointError::MissingTensor { name, .. }) => assert_eq!(name, SCALE),
        other => panic!("{other}"),
    }
    match error_with(SCALE, Some(Tensor::new(Dtype::F32, &[31], &[1.0; 31]))) {
        Error::Checkpoint(CheckpointError::TensorShape { name, .. }) => assert_eq!(name, SCALE),
        other => panic!("{other}"),
    }
    match error_with(SCALE, Some(Tensor::new(Dtype::F32, &[32], &[f32::NAN; 32]))) {
        Error::Checkpoint(CheckpointError::NotFinite { name, .. }) => assert_eq!(name, SCALE),
        other => panic!("{other}"),
    }
    let norm = "transformer.layer.0.sa_layer_norm.weight";
    let integers = Tensor { dtype: Dtype::I8, shape: vec![32], bytes: vec![1; 32] };
    match error_with(norm, Some(integers)) {
        Error::Checkpoint(CheckpointError::TensorDtype { name, .. }) => assert_eq!(name, norm),
        other => panic!("{other}"),
    }
}
