//! Bad input of any kind gives an error that names the problem, and never a panic.

use std::path::Path;

use distilbert::{
    CheckpointError, Classifier, ConfigError, DeviceError, Error, InputError, InstructionSet,
    TokenBatch,
};
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::{Dice, bundled_model};

fn open(folder: &Path) -> Result<Classifier, Error> {
    Classifier::builder(folder).threads(1).build()
}

/// Returns the error of loading a generated model after `change`.
fn error_of(model: &GeneratedModel, harm: impl FnOnce(&Path)) -> Error {
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    harm(folder.path());
    match open(folder.path()) {
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
            error
        }
        Ok(_) => panic!("expected the model to be rejected"),
    }
}

fn error_of_tensors(change: impl FnOnce(&mut GeneratedModel)) -> Error {
    let mut model = GeneratedModel::small();
    change(&mut model);
    error_of(&model, |_| ())
}

fn error_of_config(field: &str, value: Value) -> Error {
    error_of_tensors(|model| model.config[field] = value)
}

/// Builds a weight file with this header.
fn weight_file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn error_of_weights(bytes: &[u8]) -> Error {
    let write = |folder: &Path| std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
    error_of(&GeneratedModel::small(), write)
}

macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        match &$value {
            $pattern $(if $guard)? => {}
            other => panic!("expected {}, found {other:?}", stringify!($pattern $(if $guard)?)),
        }
    };
}

#[test]
fn rejects_missing_folder() {
    assert_matches!(open(Path::new("no/such/model")).err(), Some(Error::Checkpoint(CheckpointError::NoModel { path })) if path.ends_with("no/such/model"));
    let folder = TempDir::new().unwrap();
    assert_matches!(open(folder.path()).err(), Some(Error::Io { path, .. }) if path.ends_with("config.json"));
    let missing = |file: &'static str| {
        error_of(&GeneratedModel::small(), |folder| {
            std::fs::remove_file(folder.join(file)).unwrap()
        })
    };
    assert_matches!(missing("model.safetensors"), Error::Io { path, .. } if path.ends_with("model.safetensors"));
}

#[test]
fn rejects_truncated_weight_file() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let whole = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    for len in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        assert_matches!(
            error_of_weights(&whole[..len]),
            Error::Checkpoint(CheckpointError::Damaged { .. })
        );
    }
    let longer = [whole.as_slice(), &[0; 4]].concat();
    assert_matches!(error_of_weights(&longer), Error::Checkpoint(CheckpointError::Damaged { .. }));
}

#[test]
fn rejects_inconsistent_header() {
    let lying = |length: u64| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        bytes
    };
    for length in [3, 100, 1 << 40, u64::MAX] {
        assert_matches!(
            error_of_weights(&lying(length)),
            Error::Checkpoint(CheckpointError::Damaged { .. })
        );
    }
    let overlapping = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    assert_matches!(
        error_of_weights(&weight_file(overlapping, 12)),
        Error::Checkpoint(CheckpointError::Damaged { .. })
    );
    let too_short = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
    assert_matches!(
        error_of_weights(&weight_file(too_short, 8)),
        Error::Checkpoint(CheckpointError::Damaged { .. })
    );
    let overflowing =
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}"#;
    assert_matches!(
        error_of_weights(&weight_file(overflowing, 8)),
        Error::Checkpoint(CheckpointError::Damaged { .. })
    );
    let backwards = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#;
    assert_matches!(
        error_of_weights(&weight_file(backwards, 8)),
        Error::Checkpoint(CheckpointError::Damaged { .. })
    );
    assert_matches!(
        error_of_weights(&weight_file("not json", 8)),
        Error::Checkpoint(CheckpointError::Damaged { .. })
    );
}

#[test]
fn names_missing_and_misshaped_tensors() {
    let name = "transformer.layer.1.ffn.lin2.weight";
    let missing = error_of_tensors(|model| drop(model.tensors.remove(name)));
    assert!(
        missing.to_string().contains(name) && missing.to_string().contains("[32, 48]"),
        "{missing}"
    );
    let transposed = error_of_tensors(|model| model.tensor(name).shape = vec![48, 32]);
    assert_matches!(transposed, Error::Checkpoint(CheckpointError::TensorShape { name: found, expected, found: shape })
        if found.ends_with(name) && *expected == [32, 48] && *shape == [48, 32]);
    for head in ["classifier.weight", "pre_classifier.bias"] {
        let missing = error_of_tensors(|model| drop(model.tensors.remove(head)));
        assert_matches!(missing, Error::Checkpoint(CheckpointError::MissingTensor { name, .. }) if name == head);
    }
    let flat = error_of_tensors(|model| model.tensor("classifier.weight").shape = vec![224]);
    assert_matches!(flat, Error::Checkpoint(CheckpointError::TensorShape { name, .. }) if name == "classifier.weight");
    let empty = error_of_tensors(|model| {
        *model.tensor("classifier.weight") = Tensor::new(Dtype::F32, &[0, 32], &[]);
    });
    assert_matches!(empty, Error::Config(ConfigError::LabelCount { labels: 7, rows: 0 }));
}

#[test]
fn names_unsupported_tensor_types() {
    let error = error_of_tensors(|model| model.tensor("classifier.bias").dtype = Dtype::I32);
    assert_matches!(error, Error::Checkpoint(CheckpointError::TensorDtype { name, found }) if name == "classifier.bias" && found == "I32");
}

#[test]
fn names_non_finite_weights() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = error_of_tensors(|model| {
                let tensor = model.tensor("transformer.layer.0.attention.k_lin.weight");
                let mut values = tensor.values();
                values[77] = value;
                *tensor = Tensor::new(dtype, &tensor.shape, &values);
            });
            assert_matches!(error, Error::Checkpoint(CheckpointError::NotFinite { name, index: 77, .. }) if name.ends_with("layer.0.attention.k_lin.weight"));
        }
    }
}

#[test]
fn rejects_invalid_configurations() {
    assert_matches!(
        error_of_config("n_heads", json!(5)),
        Error::Config(ConfigError::Field { field: "n_heads", .. })
    );
    assert_matches!(
        error_of_config("n_layers", json!(0)),
        Error::Config(ConfigError::Field { field: "n_layers", .. })
    );
    assert_matches!(
        error_of_config("dim", json!(1u64 << 40)),
        Error::Config(ConfigError::Field { field: "dim", .. })
    );
    assert_matches!(
        error_of_config("dim", json!(1 << 20)),
        Error::Checkpoint(CheckpointError::TensorShape { .. })
    );
    assert_matches!(
        error_of_config("n_layers", json!(1 << 24)),
        Error::Checkpoint(CheckpointError::MissingTensor { .. })
    );
    assert_matches!(
        error_of_config("model_type", json!("bert")),
        Error::Config(ConfigError::Field { field: "model_type", .. })
    );
    let two_labels = json!({"0": "good", "1": "bad"});
    assert_matches!(
        error_of_config("id2label", two_labels),
        Error::Config(ConfigError::LabelCount { labels: 2, rows: 7 })
    );
    let broken = error_of(&GeneratedModel::small(), |folder| {
        std::fs::write(folder.join("config.json"), "{\"dim\": 3").unwrap();
    });
    assert_matches!(broken, Error::Config(ConfigError::Json { path, .. }) if path.ends_with("config.json"));
}

#[test]
fn rejects_missing_and_misplaced_shards() {
    let sharded = |harm: &dyn Fn(&Path)| {
        let folder = TempDir::new().unwrap();
        GeneratedModel::small().write_sharded(folder.path());
        harm(folder.path());
        open(folder.path()).err().unwrap()
    };
    let missing = sharded(&|folder| {
        std::fs::remove_file(folder.join("model-00002-of-00003.safetensors")).unwrap();
    });
    assert_matches!(missing, Error::Io { path, .. } if path.ends_with("model-00002-of-00003.safetensors"));
    for index in [
        r#"{"weight_map": {"a": "../../secret.safetensors"}}"#,
        r#"{"weight_map": {"a": "/etc/passwd"}}"#,
        r#"{"weight_map": {"a": 3}}"#,
        r#"{"weight_map": {}}"#,
        r#"{"weight_map": []}"#,
        "{}",
        "[",
    ] {
        let write = |folder: &Path| {
            std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
        };
        assert_matches!(sharded(&write), Error::Config(ConfigError::Json { .. }));
    }
}

#[test]
fn rejects_invalid_batches() {
    let classifier = open(&bundled_model()).unwrap();
    let none: [&[u32]; 0] = [];
    assert_matches!(TokenBatch::from_rows(&none), Err(Error::Input(InputError::EmptyBatch)));
    assert_matches!(
        classifier.logits(&TokenBatch::default()),
        Err(Error::Input(InputError::EmptyBatch))
    );
    assert_matches!(
        TokenBatch::from_rows(&[vec![101], vec![]]),
        Err(Error::Input(InputError::EmptyRow { row: 1 }))
    );
    let logits =
        |row: Vec<u32>| classifier.logits(&TokenBatch::from_rows(&[vec![101], row]).unwrap());
    assert_matches!(
        logits(vec![30522]),
        Err(Error::Input(InputError::TokenId { row: 1, id: 30522, vocab_size: 30522 }))
    );
    assert_matches!(logits(vec![u32::MAX]), Err(Error::Input(InputError::TokenId { row: 1, .. })));
    assert_matches!(
        logits(vec![5; 513]),
        Err(Error::Input(InputError::TooManyTokens { row: 1, tokens: 513, limit: 512 }))
    );
    let padded = TokenBatch::from_padded;
    assert_matches!(padded(&[], &[], 4), Err(Error::Input(InputError::EmptyBatch)));
    assert_matches!(
        padded(&[1, 2, 3], &[1, 1, 1], 2),
        Err(Error::Input(InputError::PaddedShape { ids: 3, mask: 3, len: 2 }))
    );
    assert_matches!(
        padded(&[1, 2], &[1, 1, 1], 2),
        Err(Error::Input(InputError::PaddedShape { .. }))
    );
    assert_matches!(padded(&[1], &[1], 0), Err(Error::Input(InputError::PaddedShape { .. })));
    assert_matches!(
        padded(&[1, 2], &[1, 2], 2),
        Err(Error::Input(InputError::MaskValue { row: 0, position: 1, found: 2 }))
    );
    assert_matches!(
        padded(&[1, 2, 0, 0], &[1, 1, 0, 0], 2),
        Err(Error::Input(InputError::MaskedRow { row: 1 }))
    );
    assert_matches!(
        padded(&[0, 1, 2, 3], &[1, 1, 0, 1], 2),
        Err(Error::Input(InputError::MaskedFirstToken { row: 1 }))
    );
    // Masked tokens take up positions, as in Hugging Face.
    let far: Vec<u32> =
        (0..600).map(|position| u32::from(position == 0 || position == 599)).collect();
    let far = padded(&[7; 600], &far, 600).unwrap();
    assert_matches!(
        classifier.logits(&far),
        Err(Error::Input(InputError::TooManyTokens { row: 0, tokens: 600, limit: 512 }))
    );
}

#[test]
fn rejects_unavailable_instruction_sets() {
    assert_matches!("mmx".parse::<InstructionSet>(), Err(DeviceError::InstructionSet { requested, .. }) if requested == "mmx");
    for &set in InstructionSet::ALL {
        assert_eq!(set.to_string().parse::<InstructionSet>().unwrap(), set);
        let chosen = InstructionSet::choose(Some(set));
        assert_eq!(chosen.is_ok(), InstructionSet::detected().contains(&set));
    }
}

/// Corrupts random bytes, mostly in the header. The outcome may be anything but a panic.
#[test]
fn corrupted_files_never_panic() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let mut dice = Dice(17);
    for (file, rounds) in [("model.safetensors", 1500), ("config.json", 500), ("vocab.txt", 100)] {
        let path = folder.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..rounds {
            let mut damaged = whole.clone();
            for _ in 0..1 + dice.below(3) {
                let reach =
                    if dice.below(4) == 0 { damaged.len() } else { damaged.len().min(3000) };
                let at = dice.below(reach);
                match dice.below(3) {
                    0 => damaged[at] = dice.below(256) as u8,
                    1 => drop(damaged.remove(at)),
                    _ => damaged[at] = b"0123456789[]{}\",:"[dice.below(17)],
                }
            }
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(classifier) = open(folder.path()) {
                let batch = TokenBatch::from_rows(&[[1, 2]]).unwrap();
                let _ = classifier.logits(&batch);
            }
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[cfg(feature = "text")]
mod text {
    use distilbert::Truncation;

    use super::*;

    fn classify(truncation: Truncation, text: &str) -> Result<distilbert::Prediction, Error> {
        let builder = Classifier::builder(bundled_model()).truncation(truncation).threads(1);
        builder.build().unwrap().classify(text)
    }

    #[test]
    fn rejects_long_texts_without_truncation() {
        let long = "word ".repeat(511);
        assert_matches!(
            classify(Truncation::Error, &long),
            Err(Error::Input(InputError::TooManyTokens { row: 0, tokens: 513, limit: 512 }))
        );
        assert!(classify(Truncation::Error, &"word ".repeat(510)).is_ok());
        assert_eq!(classify(Truncation::Right, &long).unwrap().dropped_tokens(), Some(1));
        assert!(classify(Truncation::Windows { stride: 509, max_windows: None }, &long).is_ok());
        let stride = classify(Truncation::Windows { stride: 510, max_windows: None }, "short");
        assert_matches!(stride, Err(Error::Input(InputError::Stride { stride: 510, limit: 510 })));
    }

    #[test]
    fn accepts_empty_and_very_long_texts() {
        let classifier = open(&bundled_model()).unwrap();
        let none: [&str; 0] = [];
        assert_matches!(
            classifier.classify_batch(&none),
            Err(Error::Input(InputError::EmptyBatch))
        );
        assert!(classifier.classify("").is_ok());
        for unit in ["word ", "\u{1F600}", "\0", "x"] {
            let long = unit.repeat(10_000_000 / unit.len());
            assert!(classifier.classify(&long).is_ok());
        }
    }

    #[test]
    fn rejects_missing_and_corrupted_tokenizer_files() {
        let vocabulary = |content: &'static str| {
            error_of(&GeneratedModel::small(), |folder| {
                std::fs::write(folder.join("vocab.txt"), content).unwrap();
            })
        };
        assert_matches!(vocabulary("[PAD]\n[SEP]\nword"), Error::Input(InputError::Tokenizer { reason, .. }) if reason.contains("[CLS]"));
        assert_matches!(vocabulary(""), Error::Input(InputError::Tokenizer { .. }));
        let missing = error_of(&GeneratedModel::small(), |folder| {
            std::fs::remove_file(folder.join("vocab.txt")).unwrap();
        });
        assert_matches!(missing, Error::Input(InputError::Tokenizer { .. }));
        for content in ["", "{}", "[1]", "{\"model\": 3}"] {
            let damaged = error_of(&GeneratedModel::small(), |folder| {
                std::fs::write(folder.join("tokenizer.json"), content).unwrap();
            });
            assert_matches!(damaged, Error::Input(InputError::Tokenizer { path, .. }) if path.ends_with("tokenizer.json"));
        }
    }
}
