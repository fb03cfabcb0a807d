//! Logits and token ids match Hugging Face: float64 goldens made by Transformers, on every available instruction set.

use distilbert::{CheckpointError, Classifier, Error, Precision, TokenBatch};
use safetensors::Dtype;
use serde_json::Value;
use tempfile::TempDir;
use test_support::generator::{GeneratedModel, Tensor};
use test_support::{TOLERANCE, golden, largest_error, list, padded_batch, sets};
#[cfg(feature = "text")]
use test_support::{ids, numbers};

/// Calls `check` with a classifier for each instruction set.
fn on_every_set(model: &std::path::Path, mut check: impl FnMut(&Classifier)) {
    for set in sets() {
        check(&Classifier::builder(model).instruction_set(set).threads(2).build().unwrap());
    }
}

/// Largest error of a logit with weights rounded to f16.
const F16_TOLERANCE: f64 = 5e-3;

fn check_case(case: &Value) {
    let folder = TempDir::new().unwrap();
    GeneratedModel::of_case(case).write(folder.path());
    on_every_set(folder.path(), |classifier| {
        let mut worst = 0f64;
        for batch in list(&case["batches"]) {
            let (tokens, expected) = padded_batch(batch);
            let error = largest_error(&classifier.logits(&tokens).unwrap(), &expected);
            assert!(
                error <= TOLERANCE,
                "{} / {} on {}: error {error:.1e}",
                case["name"],
                batch["name"],
                classifier.info().instruction_set,
            );
            worst = worst.max(error);
        }
        println!("{} on {}: {worst:.1e}", case["name"], classifier.info().instruction_set);
    });
}

#[test]
fn generated_configurations_match_float64() {
    let cases = golden("generated.json");
    assert!(list(&cases).len() >= 14);
    list(&cases).iter().for_each(check_case);
}

#[test]
fn full_size_matches_float64() {
    list(&golden("full.json")).iter().for_each(check_case);
}

#[cfg(feature = "text")]
#[test]
fn bundled_model_matches_float64_from_text_to_logits() {
    let goldens = golden("bundled.json");
    let cases = list(&goldens["cases"]);
    assert!(cases.len() >= 200);
    on_every_set(&test_support::bundled_model(), |classifier| {
        let mut worst = 0f64;
        let texts: Vec<&str> = cases.iter().map(|case| case["text"].as_str().unwrap()).collect();
        let predictions = classifier.classify_batch(&texts).unwrap();
        let rows: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["ids"])).collect();
        let of_ids = classifier.classify_tokens(&TokenBatch::from_rows(&rows).unwrap()).unwrap();
        for ((case, prediction), of_ids) in cases.iter().zip(predictions).zip(of_ids) {
            assert_eq!(prediction.logits(), of_ids.logits(), "{}: other ids", case["text"]);
            assert_eq!(
                prediction.dropped_tokens().unwrap() as u64,
                case["dropped_tokens"].as_u64().unwrap()
            );
            let error = largest_error(prediction.logits(), &numbers(&case["logits"]));
            assert!(error <= TOLERANCE, "{}: error {error:.1e}", case["text"]);
            worst = worst.max(error);
        }
        println!("{} texts on {}: {worst:.1e}", texts.len(), classifier.info().instruction_set);
    });
}

/// Rounding of the weights is the only error of f16, so this bounds a property of the model. The generated model of full
/// size represents real ones.
#[test]
fn f16_weights_are_close_to_float64_at_full_size() {
    let case = &golden("full.json")[0];
    let folder = TempDir::new().unwrap();
    GeneratedModel::of_case(case).write(folder.path());
    let builder = Classifier::builder(folder.path()).precision(Precision::F16);
    let classifier = builder.build().unwrap();
    for batch in list(&case["batches"]) {
        let (tokens, expected) = padded_batch(batch);
        let error = largest_error(&classifier.logits(&tokens).unwrap(), &expected);
        println!("{} in f16: {error:.1e}", batch["name"]);
        assert!(error <= F16_TOLERANCE, "{}: error {error:.1e}", batch["name"]);
    }
}

/// Widening is exact, so an f16 checkpoint loses nothing.
#[test]
fn f16_checkpoint_is_bit_identical_in_f16_and_f32() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().stored_as(Dtype::F16).write(folder.path());
    let rows: Vec<Vec<u32>> =
        (1..40).map(|len| (0..len).map(|id| id * 3 % 120).collect()).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    for set in sets() {
        let [f32, f16] = [Precision::F32, Precision::F16].map(|precision| {
            let builder = Classifier::builder(folder.path()).instruction_set(set);
            builder.precision(precision).build().unwrap().logits(&batch).unwrap()
        });
        assert_eq!(f32, f16, "{set}");
    }
}

#[test]
fn names_weights_out_of_f16_range() {
    let mut model = GeneratedModel::small();
    let tensor = model.tensor("transformer.layer.1.attention.v_lin.weight");
    let mut values = tensor.values();
    values[33] = 1e5;
    *tensor = Tensor::new(Dtype::F32, &tensor.shape, &values);
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    assert!(Classifier::builder(folder.path()).build().is_ok());
    match Classifier::builder(folder.path()).precision(Precision::F16).build().err() {
        Some(Error::Checkpoint(CheckpointError::OutOfRange { name, index: 33, found: 1e5 })) => {
            assert_eq!(name, "transformer.layer.1.attention.v_lin.weight");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn checkpoint_formats_are_bit_identical() {
    let batch = TokenBatch::from_rows(&[vec![1, 50, 60, 70, 2], vec![1, 99, 2]]).unwrap();
    let logits = |write: &dyn Fn(&std::path::Path)| {
        let folder = TempDir::new().unwrap();
        write(folder.path());
        Classifier::builder(folder.path()).build().unwrap().logits(&batch).unwrap()
    };
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let model = GeneratedModel::small().stored_as(dtype);
        let widened = model.clone().stored_as(Dtype::F32);
        let expected = logits(&|folder| widened.write(folder));
        assert_eq!(logits(&|folder| model.write(folder)), expected, "{dtype:?}");
        assert_eq!(logits(&|folder| model.clone().prefixed().write(folder)), expected, "prefixed");
        assert_eq!(logits(&|folder| model.write_sharded(folder)), expected, "sharded");
    }
}

#[cfg(feature = "text")]
mod tokens {
    use distilbert::{Tokenizer, Truncation};
    use tempfile::TempDir;
    use test_support::{bundled_model, token_goldens};

    use super::*;

    fn check_ids(tokenizer: &Tokenizer) {
        let goldens = token_goldens();
        assert!(goldens.len() >= 2000);
        for (text, expected) in goldens {
            let encoding = tokenizer.encode(&text).unwrap();
            assert_eq!(tokenizer.with_special_tokens(&encoding.ids), expected, "{text:?}");
            let characters = text.chars().count();
            for (start, end) in encoding.offsets {
                assert!(start <= end && end <= characters, "{text:?}: {start}..{end}");
            }
        }
    }

    #[test]
    fn token_ids_match_the_fast_tokenizer() {
        check_ids(&Tokenizer::from_folder(bundled_model()).unwrap());
    }

    #[test]
    fn vocabulary_file_gives_the_same_token_ids() {
        let folder = TempDir::new().unwrap();
        for file in ["vocab.txt", "tokenizer_config.json"] {
            std::fs::copy(bundled_model().join(file), folder.path().join(file)).unwrap();
        }
        check_ids(&Tokenizer::from_folder(folder.path()).unwrap());
    }

    #[test]
    fn ignores_truncation_and_padding_in_tokenizer_json() {
        let folder = TempDir::new().unwrap();
        let text = std::fs::read(bundled_model().join("tokenizer.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        json["truncation"] = serde_json::json!({
            "direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0
        });
        json["padding"] = serde_json::json!({
            "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
        });
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        check_ids(&Tokenizer::from_folder(folder.path()).unwrap());
    }

    #[test]
    fn windows_are_averaged_by_token_count() {
        let windows = Truncation::Windows { stride: 100, max_windows: None };
        let builder = Classifier::builder(bundled_model()).truncation(windows);
        let classifier = builder.build().unwrap();
        let text = "I was so happy at first. ".repeat(100) + &"Then it made me sad. ".repeat(60);
        let ids = classifier.tokenizer().unwrap().encode(&text).unwrap().ids;
        let windows: Vec<&[u32]> =
            [0, 410, 820].iter().map(|&start| &ids[start..ids.len().min(start + 510)]).collect();
        assert_eq!(ids.len().div_ceil(410), 3, "the text should need three windows");
        let rows: Vec<Vec<u32>> = windows
            .iter()
            .map(|ids| classifier.tokenizer().unwrap().with_special_tokens(ids))
            .collect();
        let parts = classifier.classify_tokens(&TokenBatch::from_rows(&rows).unwrap()).unwrap();
        let whole = classifier.classify(&text).unwrap();
        assert_eq!(whole.dropped_tokens(), Some(0));
        for label in 0..whole.scores().len() {
            let weighted =
                parts.iter().zip(&windows).map(|(p, ids)| p.scores()[label] * ids.len() as f32);
            let tokens: usize = windows.iter().map(|ids| ids.len()).sum();
            let expected = weighted.sum::<f32>() / tokens as f32;
            assert!((whole.scores()[label] - expected).abs() < 1e-6);
        }
        let short = classifier.classify("short").unwrap();
        let right = Classifier::builder(bundled_model()).build().unwrap();
        assert_eq!(short, right.classify("short").unwrap());
        assert!(right.classify(&text).unwrap().truncated());
    }
}
