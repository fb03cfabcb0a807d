//! Time from opening a model of DistilBERT-base's size to its first logits, with the files in the page cache:
//! `cargo bench --no-default-features --bench load`. With default features the tokenizer is loaded as well.
//!
//! The first logits of each loaded model are compared with those of a model that was checked against float64.

mod support;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use distilbert::{Classifier, TokenBatch};
use support::{Model, row, thread_counts};
use test_support::precisions;

fn main() {
    let model = Model::generate();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let batch = TokenBatch::from_rows(&[row(8)]).unwrap();
    let mut group = criterion.benchmark_group("load");
    group.sampling_mode(SamplingMode::Flat);
    for precision in precisions() {
        for threads in thread_counts(&model) {
            let open = || {
                let builder = Classifier::builder(model.folder(precision));
                builder.precision(precision).threads(threads).build().unwrap()
            };
            let checked = open();
            model.check(&checked);
            let expected = checked.logits(&batch).unwrap();
            let name = format!("{precision}/{threads} threads");
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| assert_eq!(open().logits(&batch).unwrap(), expected));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
