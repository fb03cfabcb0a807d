//! Models from memory.

use std::path::Path;
use std::sync::Arc;

use distilbert::{Classifier, ConfigError, Error, ModelBytes, Precision, TokenBatch};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::precisions;

use crate::{cases, logits, small_batch, tensorflow_model, twin};
use test_support::counting::peak;

/// Returns all files of a folder in memory.
pub fn files_of(folder: &Path) -> ModelBytes {
    let mut files = ModelBytes::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        files = files.file(name, std::fs::read(entry.path()).unwrap());
    }
    files
}

/// Returns the logits of a model from memory.
pub fn logits_from(files: &ModelBytes, precision: Precision, batch: &TokenBatch) -> Vec<f32> {
    let builder = Classifier::builder_from(files.clone()).precision(precision);
    builder.build().unwrap().logits(batch).unwrap()
}

#[test]
fn gives_the_same_bits_as_the_folder() {
    let batch = small_batch();
    for write in [GeneratedModel::write, GeneratedModel::write_sharded] {
        let folder = TempDir::new().unwrap();
        write(&GeneratedModel::small(), folder.path());
        let files = files_of(folder.path());
        for precision in precisions() {
            let expected = logits(folder.path(), precision, &batch);
            assert_eq!(logits_from(&files, precision, &batch), expected, "{precision}");
        }
        let [memory, disk] = [Classifier::builder_from(files), Classifier::builder(folder.path())]
            .map(|builder| builder.build().unwrap().info().clone());
        assert_eq!(memory.parameters, disk.parameters);
        assert_eq!(memory.checkpoint_bytes, disk.checkpoint_bytes);
        assert!(memory.folder.as_os_str().is_empty());
    }
    if cfg!(feature = "tensorflow") {
        let (batch, _) = cases();
        let expected = logits(twin().path(), Precision::F32, &batch);
        let files = files_of(&tensorflow_model());
        assert_eq!(logits_from(&files, Precision::F32, &batch), expected);
    }
}

#[test]
fn takes_bytes_of_any_owner() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let config: &'static [u8] = Box::leak(read("config.json").into_boxed_slice());
    let weights: Arc<[u8]> = read("model.safetensors").into();
    let files = ModelBytes::new()
        .file("config.json", config)
        .file(String::from("model.safetensors"), weights.clone())
        .file("vocab.txt", String::from_utf8(read("vocab.txt")).unwrap());
    assert!(format!("{files:?}").contains("\"vocab.txt\": "), "{files:?}");
    let builder = Classifier::builder_from(files);
    assert!(builder.clone().build().is_ok());
    // The builders share the caller's bytes.
    assert_eq!(Arc::strong_count(&weights), 2);
    drop(builder);
    assert_eq!(Arc::strong_count(&weights), 1);
}

#[cfg(feature = "text")]
#[test]
fn model_without_tokenizer_takes_token_ids_only() {
    use distilbert::InputError;

    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    std::fs::remove_file(folder.path().join("vocab.txt")).unwrap();
    let classifier = Classifier::builder_from(files_of(folder.path())).build().unwrap();
    assert_eq!(classifier.classify_tokens(&small_batch()).unwrap().len(), 19);
    let no_tokenizer = |error: Error| matches!(error, Error::Input(InputError::NoTokenizer));
    assert!(no_tokenizer(classifier.classify("w5").unwrap_err()));
    assert!(matches!(classifier.tokenizer().unwrap_err(), InputError::NoTokenizer));
    #[cfg(feature = "explain")]
    {
        let error = classifier.explain("w5", &distilbert::explain::ExplainOptions::default());
        assert!(no_tokenizer(error.unwrap_err()));
    }
    // In a folder, a missing tokenizer is a mistake.
    assert!(Classifier::builder(folder.path()).build().is_err());
}

#[test]
fn names_missing_file() {
    let config = || ModelBytes::new().file("config.json", b"{}");
    for (files, name) in [(ModelBytes::new(), "config.json"), (config(), "model.safetensors")] {
        match Classifier::builder_from(files).build().unwrap_err() {
            Error::Io { operation: "read", path, .. } => assert_eq!(path, Path::new(name)),
            other => panic!("{other}"),
        }
    }
    let index = r#"{"weight_map": {"classifier.bias": "elsewhere.safetensors"}}"#;
    let files = config().file("model.safetensors.index.json", index);
    match Classifier::builder_from(files).build().unwrap_err() {
        Error::Io { path, .. } => assert_eq!(path, Path::new("elsewhere.safetensors")),
        other => panic!("{other}"),
    }
}

#[test]
fn sizes_in_the_configuration_take_no_memory() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let weights = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let weights: Arc<[u8]> = weights.into();
    let mut sinusoidal = GeneratedModel::small();
    sinusoidal.tensors.remove("embeddings.position_embeddings.weight");
    sinusoidal.write(folder.path());
    let without_positions = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let without_positions: Arc<[u8]> = without_positions.into();
    let huge = 1 << 24;
    for (field, weights) in [
        ("max_position_embeddings", &without_positions),
        ("max_position_embeddings", &weights),
        ("num_labels", &weights),
        ("n_layers", &weights),
        ("hidden_dim", &weights),
        ("dim", &weights),
        ("vocab_size", &weights),
    ] {
        let mut config = GeneratedModel::small().config;
        config.as_object_mut().unwrap().remove("id2label");
        config["sinusoidal_pos_embds"] = true.into();
        config["n_heads"] = 1.into();
        config[field] = huge.into();
        let files = ModelBytes::new()
            .file("config.json", config.to_string())
            .file("model.safetensors", weights.clone());
        let most = peak(|| {
            let error = Classifier::builder_from(files).threads(1).build().unwrap_err();
            let is_typed = matches!(error, Error::Config(_) | Error::Checkpoint(_));
            assert!(is_typed && error.to_string().len() < 1000, "{field}: {error}");
        });
        assert!(most < 40 << 20, "{field}: {most} bytes");
    }
}

#[test]
fn sinusoidal_positions_longer_than_the_weights_load() {
    let mut model = GeneratedModel::small();
    model.config["sinusoidal_pos_embds"] = true.into();
    model.config["max_position_embeddings"] = 8192.into();
    model.tensors.remove("embeddings.position_embeddings.weight");
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    assert!(Classifier::builder(folder.path()).build().is_ok());
    model.config["max_position_embeddings"] = 1_000_000.into();
    model.write(folder.path());
    match Classifier::builder(folder.path()).build().unwrap_err() {
        Error::Config(ConfigError::Field { field, expected, found }) => {
            assert_eq!((field, found.as_str()), ("max_position_embeddings", "1000000"));
            assert!(expected.contains("no position table"), "{expected}");
        }
        other => panic!("{other}"),
    }
}
