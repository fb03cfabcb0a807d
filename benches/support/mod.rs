//! What the benchmarks of whole models share: DistilBERT-base's size with the generated weights of
//! `tests/reference/full.json`, and what its logits must be.

#![allow(dead_code, reason = "each benchmark uses its own part of this module")]

#[path = "../../tests/support/mod.rs"]
mod tests;

use std::path::PathBuf;

use criterion::{Criterion, SamplingMode, Throughput};
use distilbert::{Classifier, Device, Precision, TokenBatch};
use serde_json::Value;
use tempfile::TempDir;
use tests::generator::GeneratedModel;
use tests::{golden, ids, largest_error, list, padded_batch};

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
        let (precision, device) = (classifier.info().precision, classifier.info().device);
        let mut worst = 0f64;
        for batch in list(&self.case["batches"]) {
            let (tokens, expected) = padded_batch(batch);
            let found = classifier.logits(&tokens).unwrap();
            worst = worst.max(largest_error(&found, &expected));
        }
        println!("{precision} on {device}: logits at most {worst:.1e} from float64");
        assert!(worst <= tolerance(precision, device), "the logits are wrong");
    }
}

/// How far logits of order 1 to 10 may be from float64. Rounding to 8 bits moves those of these random
/// weights by up to 0.6, wrong wiring by more than 2.
pub fn tolerance(precision: Precision, device: Device) -> f64 {
    match precision {
        Precision::Int8 => 1.0,
        // On a GPU what goes from layer to layer is of 16 bits too.
        Precision::F16 if device != Device::Cpu => 2e-2,
        Precision::F16 => 1e-2,
        _ => 2e-5,
    }
}

/// Times single texts of 8 to 512 tokens, batches of these rows by tokens, and 32 real texts. The logits of
/// each row must be those of the row alone, bit for bit.
pub fn batches(
    criterion: &mut Criterion,
    name: &str,
    classifier: &Classifier,
    more: &[(usize, usize)],
) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    let single = [8, 16, 32, 64, 128, 256, 512].map(|tokens| (1, tokens));
    let uniform = single
        .iter()
        .chain(more)
        .map(|&(rows, tokens)| (format!("{rows}x{tokens}"), vec![row(tokens); rows]));
    let ragged = ("32 real texts".to_owned(), real_texts(32));
    for (name, rows) in uniform.chain([ragged]) {
        let batch = TokenBatch::from_rows(&rows).unwrap();
        let mut logits = classifier.logits(&batch).unwrap();
        for (row, logits) in rows.iter().zip(logits.chunks_exact(classifier.labels().len())) {
            let alone = classifier.logits(&TokenBatch::from_rows(&[row]).unwrap()).unwrap();
            assert_eq!(logits, alone, "{name}: a row has other logits alone");
        }
        group.throughput(Throughput::Elements(rows.iter().map(Vec::len).sum::<usize>() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| classifier.logits_into(&batch, &mut logits).unwrap());
        });
    }
    group.finish();
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
