//! Checkpoints in formats other than `model.safetensors`, conversion, and files that change while being read.

#[cfg(unix)]
mod changing;
mod memory;
mod pickle;
#[cfg(unix)]
mod pipes;
#[cfg(feature = "tensorflow")]
mod tensorflow;

use std::path::{Path, PathBuf};

use distilbert::{
    CheckpointError, Classifier, ConfigError, Error, Precision, TokenBatch, convert, quantize,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::counting::Counting;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::{bundled_model, ids, list, precisions};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the folder of a model saved by TensorFlow.
fn tensorflow_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tf_model")
}

/// Copies everything in that folder except the weights.
fn copy_companions(to: &Path) {
    for file in ["config.json", "vocab.txt"] {
        std::fs::copy(tensorflow_model().join(file), to.join(file)).unwrap();
    }
}

/// Returns a folder with the same model as converted to PyTorch by Transformers.
fn twin() -> TempDir {
    let folder = TempDir::new().unwrap();
    copy_companions(folder.path());
    std::fs::copy(
        tensorflow_model().join("twin.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    folder
}

fn cases() -> (TokenBatch, Value) {
    let goldens = test_support::golden("tf_model/logits.json");
    let rows: Vec<Vec<u32>> =
        list(&goldens["cases"]).iter().map(|case| ids(&case["ids"])).collect();
    (TokenBatch::from_rows(&rows).unwrap(), goldens)
}

fn logits(model: &Path, precision: Precision, batch: &TokenBatch) -> Vec<f32> {
    let classifier = Classifier::builder(model).precision(precision).build().unwrap();
    classifier.logits(batch).unwrap()
}

fn small_batch() -> TokenBatch {
    let rows: Vec<Vec<u32>> =
        (1..20).map(|len| (0..len).map(|id| id * 3 % 120).collect()).collect();
    TokenBatch::from_rows(&rows).unwrap()
}

fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

fn config(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
}

/// Writes a model, converts it, and returns both folders.
fn converted(
    model: &GeneratedModel,
    dtype: impl Into<Option<Precision>>,
) -> (TempDir, PathBuf, PathBuf) {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    std::fs::create_dir(&from).unwrap();
    model.write(&from);
    convert(&from, &to, dtype).unwrap();
    (folder, from, to)
}

fn error_of(model: &GeneratedModel, dtype: Precision) -> Error {
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    let out = folder.path().join("out");
    let error = convert(folder.path(), &out, dtype).unwrap_err();
    assert!(!out.exists(), "something was written despite: {error}");
    error
}

#[test]
fn converted_model_gives_the_same_bits() {
    let batch = small_batch();
    for model in [GeneratedModel::small(), GeneratedModel::small().prefixed()] {
        for dtype in [None, Some(Precision::F32)] {
            let (_folder, from, to) = converted(&model, dtype);
            for precision in precisions() {
                let expected = logits(&from, precision, &batch);
                assert_eq!(logits(&to, precision, &batch), expected, "{precision}");
            }
        }
        // `Precision::F16` rounds weights the same way, but not embeddings and biases.
        let (_folder, _, halves) = converted(&model, Precision::F16);
        let rounded = model.clone().stored_as(Dtype::F16).stored_as(Dtype::F32);
        let (_other, from, _) = converted(&rounded, None);
        let expected = logits(&from, Precision::F32, &batch);
        assert_eq!(logits(&halves, Precision::F32, &batch), expected);
    }
}

#[test]
fn converted_folder_has_the_layout_of_transformers() {
    let model = GeneratedModel::small();
    for (dtype, stored, name) in [
        (None, Dtype::F32, "float32"),
        (Some(Precision::F32), Dtype::F32, "float32"),
        (Some(Precision::F16), Dtype::F16, "float16"),
        (Some(Precision::Bf16), Dtype::BF16, "bfloat16"),
        (Some(Precision::Auto), Dtype::F32, "float32"),
    ] {
        let (_folder, _, to) = converted(&model, dtype);
        let expected = model.clone().stored_as(stored).prefixed().tensors;
        let found = Tensor::read_all(&to);
        assert!(found.keys().eq(expected.keys()));
        for (name, tensor) in found {
            let expected = &expected[&name];
            assert_eq!((tensor.dtype, &tensor.shape), (stored, &expected.shape), "{name}");
            assert!(tensor.bytes == expected.bytes, "{name}");
        }
        let bytes = weights(&to);
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        let config = config(&to);
        assert_eq!(config["dtype"], name);
        assert_eq!(config["torch_dtype"], name);
        assert_eq!(config["architectures"], json!(["DistilBertForSequenceClassification"]));
        assert_eq!(config["model_type"], "distilbert");
        assert_eq!(config["id2label"], model.config["id2label"]);
        let same = |file: &str| {
            let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
            read(&to) == read(to.parent().unwrap().join("from").as_path())
        };
        assert!(same("vocab.txt"));
        let names = std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with("partial")));
    }
}

#[test]
fn writes_labels_missing_from_the_configuration() {
    let mut model = GeneratedModel::small();
    model.config.as_object_mut().unwrap().remove("id2label");
    // The generator needs the labels for the size of the head.
    *model.tensor("classifier.bias") = Tensor::new(Dtype::F32, &[3], &[0.5; 3]);
    *model.tensor("classifier.weight") = Tensor::new(Dtype::F32, &[3, 32], &[0.25; 96]);
    model.config.as_object_mut().unwrap().remove("model_type");
    let (_folder, _, to) = converted(&model, None);
    let config = config(&to);
    assert_eq!(config["id2label"], json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}));
    assert_eq!(config["label2id"], json!({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}));
    assert_eq!(config["model_type"], "distilbert");
}

#[test]
fn round_trip_gives_the_same_file() {
    let (_folder, from, halves) =
        converted(&GeneratedModel::small().stored_as(Dtype::F16).prefixed(), None);
    assert!(Tensor::read_all(&from).values().all(|tensor| tensor.dtype == Dtype::F16));
    let [wide, narrow] = ["wide", "narrow"].map(|name| from.parent().unwrap().join(name));
    convert(&halves, &wide, Precision::F32).unwrap();
    assert!(Tensor::read_all(&wide).values().all(|tensor| tensor.dtype == Dtype::F32));
    convert(&wide, &narrow, Precision::F16).unwrap();
    assert!(weights(&halves) == weights(&narrow));
}

#[test]
fn tensors_keep_their_type_by_default() {
    let mut model = GeneratedModel::small().stored_as(Dtype::BF16).prefixed();
    let mixed = model.tensor("classifier.weight").values();
    *model.tensor("classifier.weight") = Tensor::new(Dtype::F16, &[7, 32], &mixed);
    let (_folder, from, to) = converted(&model, None);
    let (expected, found) = (Tensor::read_all(&from), Tensor::read_all(&to));
    assert_eq!(found.len(), expected.len());
    for (name, tensor) in &found {
        assert_eq!(tensor.dtype, expected[name].dtype, "{name}");
        assert!(tensor.bytes == expected[name].bytes, "{name}");
    }
    assert_eq!(config(&to)["dtype"], "bfloat16");
}

#[test]
fn merges_shards_into_one_file() {
    let folder = TempDir::new().unwrap();
    let [shards, single, from, to] =
        ["shards", "single", "from", "to"].map(|name| folder.path().join(name));
    std::fs::create_dir(&shards).unwrap();
    std::fs::create_dir(&single).unwrap();
    let model = GeneratedModel::small().prefixed();
    model.write_sharded(&shards);
    model.write(&single);
    convert(&shards, &from, None).unwrap();
    convert(&single, &to, None).unwrap();
    assert!(weights(&from) == weights(&to));
    assert!(!from.join("model.safetensors.index.json").exists());
    // Converting a folder into itself would overwrite the source.
    let error = convert(&shards, &shards, None).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Exists { .. })), "{error}");
    assert_eq!(config(&shards), model.config);
}

#[test]
fn converting_to_int8_equals_quantize() {
    let folder = TempDir::new().unwrap();
    let [quantized, int8, again, wide] =
        ["quantized", "int8", "again", "wide"].map(|name| folder.path().join(name));
    quantize(bundled_model(), &quantized).unwrap();
    convert(bundled_model(), &int8, Precision::Int8).unwrap();
    // An int8 model stays int8.
    convert(&int8, &again, None).unwrap();
    for entry in std::fs::read_dir(&quantized).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(read(&quantized) == read(&int8), "{name:?}");
        assert!(read(&quantized) == read(&again), "{name:?}");
    }
    convert(&int8, &wide, Precision::F32).unwrap();
    let batch = TokenBatch::from_rows(&[vec![101, 2204, 102]]).unwrap();
    let expected = logits(&int8, Precision::F32, &batch);
    assert_eq!(logits(&wide, Precision::F32, &batch), expected);
}

#[test]
fn names_weight_too_large_for_f16() {
    const NAME: &str = "transformer.layer.1.ffn.lin1.weight";
    let mut model = GeneratedModel::small();
    let mut values = model.tensor(NAME).values();
    values[37] = 1e6;
    *model.tensor(NAME) = Tensor::new(Dtype::F32, &[48, 32], &values);
    match error_of(&model, Precision::F16) {
        Error::Checkpoint(CheckpointError::OutOfRange { name, index: 37, found: 1e6 }) => {
            assert_eq!(name, NAME)
        }
        other => panic!("{other}"),
    }
    converted(&model, Precision::F32);
    // The model does not read a tensor of another head, but the conversion writes it.
    let mut model = GeneratedModel::small();
    let extra = Tensor::new(Dtype::F32, &[2, 2], &[1.0, 2.0, f32::NAN, 4.0]);
    model.tensors.insert("vocab_projector.weight".to_owned(), extra);
    for dtype in [Precision::F16, Precision::Int8] {
        match error_of(&model, dtype) {
            Error::Checkpoint(CheckpointError::NotFinite { name, index: 2, .. }) => {
                assert_eq!(name, "vocab_projector.weight")
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn rejects_unloadable_source_before_writing() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let refused = |from: &Path| {
        let error = convert(from, &out, None).unwrap_err();
        assert!(!out.exists());
        error
    };
    let missing = refused(&folder.path().join("nothing"));
    assert!(matches!(missing, Error::Checkpoint(CheckpointError::NoModel { .. })), "{missing}");
    GeneratedModel::small().write(folder.path());
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "distilbert"}"#).unwrap();
    let bare = refused(folder.path());
    assert!(matches!(bare, Error::Checkpoint(CheckpointError::TensorShape { .. })), "{bare}");
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "bert"}"#).unwrap();
    let other = refused(folder.path());
    assert!(
        matches!(other, Error::Config(ConfigError::Field { field: "model_type", .. })),
        "{other}"
    );
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    match refused(folder.path()) {
        Error::Io { path, .. } => assert!(path.ends_with("config.json")),
        other => panic!("{other}"),
    }
}

#[test]
fn never_overwrites_existing_files() {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    std::fs::create_dir(&from).unwrap();
    std::fs::create_dir(&to).unwrap();
    GeneratedModel::small().write(&from);
    for file in ["config.json", "model.safetensors", "vocab.txt"] {
        std::fs::write(to.join(file), "mine").unwrap();
        match convert(&from, &to, None).unwrap_err() {
            Error::Checkpoint(CheckpointError::Exists { path }) => assert_eq!(path, to.join(file)),
            other => panic!("{other}"),
        }
        assert_eq!(std::fs::read_dir(&to).unwrap().count(), 1);
        assert_eq!(std::fs::read(to.join(file)).unwrap(), b"mine");
        std::fs::remove_file(to.join(file)).unwrap();
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = convert(&from, file.join("out"), None).unwrap_err();
    assert!(matches!(error, Error::Io { operation: "write", .. }), "{error}");
}

#[test]
fn incomplete_files_never_get_their_names() {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    std::fs::create_dir(&from).unwrap();
    GeneratedModel::small().write(&from);
    // The temporary name of the weights is taken by a folder.
    std::fs::create_dir_all(to.join("model.safetensors.partial")).unwrap();
    let error = convert(&from, &to, None).unwrap_err();
    assert!(
        matches!(&error, Error::Io { operation: "write", path, .. } if path.ends_with("model.safetensors")),
        "{error}"
    );
    assert!(!to.join("model.safetensors").exists());
}

#[cfg(not(feature = "tensorflow"))]
#[test]
fn tensorflow_weights_name_the_missing_feature() {
    let error = Classifier::builder(tensorflow_model()).build().err().unwrap();
    let message = error.to_string();
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::TensorflowNotBuilt { path }) if path.ends_with("tf_model.h5"))
    );
    assert!(message.contains("`tensorflow`"), "{message}");
    // Its twin needs no feature.
    let (batch, _) = cases();
    assert!(!logits(twin().path(), Precision::F32, &batch).is_empty());
}
