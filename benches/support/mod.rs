//! What the benchmarks of whole models share: DistilBERT-base's size with the generated weights of
//! `tests/reference/full.json`, and what its logits must be.

#![allow(dead_code, reason = "each benchmark uses its own part of this module")]

#[path = "../../tests/support/mod.rs"]
mod tests;

use std::path::PathBuf;

use distilbert::{Classifier, Precision, TokenBatch};
use serde_json::Value;
use tempfile::TempDir;
use tests::generator::GeneratedModel;
use tests::{golden, ids, largest_error, list, numbers};

/// A model on disk, for as long as it lives.
pub struct Model {
    folder: TempDir,
    case: Value,
}

impl Model {
    pub fn generate() -> Self {
        let case = golden("full.json")[0].clone();
        let folder = TempDir::new().unwrap();
        let original = folder.path().join("f32");
        std::fs::create_dir(&original).unwrap();
        GeneratedModel::of_case(&case).write(&original);
        distilbert::quantize(&original, folder.path().join("int8")).unwrap();
        Self { folder, case }
    }

    /// The checkpoint as a user of a precision would have it.
    pub fn folder(&self, precision: Precision) -> PathBuf {
        self.folder.path().join(match precision {
            Precision::Int8 => "int8",
            _ => "f32",
        })
    }

    /// Compares with the goldens of Transformers in float64.
    pub fn check(&self, classifier: &Classifier) {
        let precision = classifier.info().precision;
        let mut worst = 0f64;
        for batch in list(&self.case["batches"]) {
            let length = list(&batch["input_ids"][0]).len();
            let flat = |field: &str| list(&batch[field]).iter().flat_map(ids).collect::<Vec<u32>>();
            let tokens =
                TokenBatch::from_padded(&flat("input_ids"), &flat("attention_mask"), length);
            let expected: Vec<f64> = list(&batch["logits"]).iter().flat_map(numbers).collect();
            let found = classifier.logits(&tokens.unwrap()).unwrap();
            worst = worst.max(largest_error(&found, &expected));
        }
        println!("{precision}: logits at most {worst:.1e} from float64");
        assert!(worst <= tolerance(precision), "the logits are wrong");
    }
}

/// How far logits of order 1 to 10 may be from float64. Rounding to 8 bits moves those of these random
/// weights by up to 0.6, wrong wiring by more than 2.
pub fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Int8 => 1.0,
        Precision::F16 => 1e-2,
        _ => 2e-5,
    }
}

/// The ids of some real texts, a row each.
pub fn real_texts(count: usize) -> Vec<Vec<u32>> {
    let goldens = golden("bundled.json");
    list(&goldens["cases"]).iter().take(count).map(|case| ids(&case["ids"])).collect()
}

/// A row of so many tokens, `[CLS]` and words and `[SEP]`.
pub fn row(tokens: usize) -> Vec<u32> {
    let words = (0..tokens as u32 - 2).map(|index| 1000 + index * 7919 % 29_000);
    std::iter::once(101).chain(words).chain([102]).collect()
}

/// One thread, and as many as a classifier has by default.
pub fn thread_counts(model: &Model) -> Vec<usize> {
    let all = Classifier::builder(model.folder(Precision::Int8)).build().unwrap().info().threads;
    if all > 1 { vec![1, all] } else { vec![1] }
}
