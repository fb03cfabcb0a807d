//! Parts shared by the benchmarks of whole models: a model of DistilBERT-base's size with the generated weights of
//! `tests/reference/full.json`, and its expected logits.

#![allow(dead_code, reason = "each benchmark uses only a part of this module")]

use std::path::PathBuf;

use criterion::{Criterion, SamplingMode, Throughput};
use distilbert::{Classifier, Device, ModelInfo, Precision, TokenBatch};
use serde_json::Value;
use tempfile::TempDir;
use test_support::cuda::{self, logits};
use test_support::generator::GeneratedModel;
use test_support::{golden, ids, largest_error, list, padded_batch};

/// Model in a temporary folder, which is deleted on drop.
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

    /// Returns the checkpoint that a user of a precision would load.
    pub fn folder(&self, precision: Precision) -> PathBuf {
        self.folder.path().join(match precision {
            Precision::Int8 => "int8",
            _ => "f32",
        })
    }

    /// Compares logits with the goldens of Transformers in float64.
    pub fn check(&self, classifier: &Classifier) {
        let info = classifier.info();
        let mut worst = 0f64;
        for batch in list(&self.case["batches"]) {
            let (tokens, expected) = padded_batch(batch);
            worst = worst.max(largest_error(&classifier.logits(&tokens).unwrap(), &expected));
        }
        println!("{} on {}: logits at most {worst:.1e} from float64", info.precision, info.device);
        assert!(worst <= tolerance(info), "the logits are wrong");
    }
}

/// Returns the tolerance of logits of order 1 to 10 against float64. Quantization to int8 moves the logits of these random
/// weights by up to 0.6, wrong wiring by more than 2.
fn tolerance(info: &ModelInfo) -> f64 {
    match (info.precision, info.device) {
        (Precision::Int8 | Precision::Cascade { .. }, _) => 1.0,
        (Precision::F16, Device::Cuda(_)) => cuda::TOLERANCE.into(),
        (Precision::F16, _) => 1e-2,
        (Precision::Bf16, _) => 0.2,
        _ => 2e-5,
    }
}

/// Named batch of rows.
pub type Batch = (String, Vec<Vec<u32>>);

/// Returns batches of rows of equal length, and one of 32 real texts.
pub fn batches(uniform: impl IntoIterator<Item = (usize, usize)>) -> Vec<Batch> {
    let uniform = uniform
        .into_iter()
        .map(|(rows, tokens)| (format!("{rows}x{tokens}"), vec![row(tokens); rows]));
    let ragged = ("32 real texts".to_owned(), real_texts(32));
    uniform.chain([ragged]).collect()
}

/// Times each batch after checking that its rows have the same logits alone.
pub fn time_batches(
    criterion: &mut Criterion,
    name: &str,
    classifier: &Classifier,
    batches: &[Batch],
) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    for (name, rows) in batches {
        let batch = TokenBatch::from_rows(rows).unwrap();
        let mut together = classifier.logits(&batch).unwrap();
        for (row, together) in rows.iter().zip(together.chunks_exact(classifier.labels().len())) {
            assert_eq!(
                together,
                logits(classifier, &[row]),
                "{name}: a row's logits differ from those of the row alone"
            );
        }
        group.throughput(Throughput::Elements(batch.tokens() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| classifier.logits_into(&batch, &mut together).unwrap());
        });
    }
    group.finish();
}

/// Returns the ids of real texts, one row each.
fn real_texts(count: usize) -> Vec<Vec<u32>> {
    let goldens = golden("bundled.json");
    list(&goldens["cases"]).iter().take(count).map(|case| ids(&case["ids"])).collect()
}

/// Returns a row of `tokens` tokens: `[CLS]`, words and `[SEP]`.
pub fn row(tokens: usize) -> Vec<u32> {
    let words = (0..tokens as u32 - 2).map(|index| 1000 + index * 7919 % 29_000);
    std::iter::once(101).chain(words).chain([102]).collect()
}

/// Returns the thread counts to benchmark: one, and the default.
pub fn thread_counts(model: &Model) -> Vec<usize> {
    let all = Classifier::builder(model.folder(Precision::Int8)).build().unwrap().info().threads;
    if all > 1 { vec![1, all] } else { vec![1] }
}
