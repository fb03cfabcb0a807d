//! A whole model of DistilBERT-base's size from token ids to logits, in every precision:
//! `cargo bench --bench model`.
//!
//! Before anything is timed, logits are compared with the float64 goldens, and the logits of each batch bit for bit with
//! those of its rows alone. A text of 8 tokens is memory-bound: the benchmark reports how fast it reads the weights as a
//! fraction of the memory bandwidth measured a moment before.

mod support;

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use distilbert::{Classifier, Precision, TokenBatch};
use support::{Model, batches, row, thread_counts, time_batches};
use test_support::precisions;

fn main() {
    let model = Model::generate();
    let single = [8, 16, 32, 64, 128, 256, 512].map(|tokens| (1, tokens));
    let batches = batches(single.into_iter().chain([(8, 16), (8, 128), (32, 32)]));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for threads in thread_counts(&model) {
        for precision in precisions() {
            let classifier = Classifier::builder(model.folder(precision))
                .precision(precision)
                .threads(threads)
                .build()
                .unwrap();
            model.check(&classifier);
            let name = format!("{precision}/{threads} threads");
            time_batches(&mut criterion, &name, &classifier, &batches);
            if precision == Precision::F32 {
                fraction_of_memory_bandwidth(&classifier);
            }
        }
    }
    callers(&mut criterion, &model);
    criterion.final_summary();
}

/// Measures concurrent callers of one single-threaded classifier, which should not slow each other down.
fn callers(criterion: &mut Criterion, model: &Model) {
    let builder = Classifier::builder(model.folder(Precision::F32));
    let classifier = builder.threads(1).build().unwrap();
    let batch = TokenBatch::from_rows(&[row(32)]).unwrap();
    let mut group = criterion.benchmark_group("callers");
    for callers in thread_counts(model) {
        group.throughput(Throughput::Elements(callers as u64));
        group.bench_function(BenchmarkId::from_parameter(callers), |bencher| {
            bencher.iter_custom(|calls| {
                let start = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..callers {
                        scope.spawn(|| {
                            let mut logits = Vec::new();
                            for _ in 0..calls {
                                classifier.logits_into(&batch, &mut logits).unwrap();
                            }
                        });
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

/// Prints how fast a text of 8 tokens reads the weights, and how fast the same threads read memory.
fn fraction_of_memory_bandwidth(classifier: &Classifier) {
    let threads = classifier.info().threads;
    let (dim, hidden_dim) = (classifier.config().dim, classifier.config().hidden_dim);
    let layer = 4 * dim * dim + 2 * dim * hidden_dim;
    let weights = classifier.config().n_layers * layer + dim * dim;
    let bytes = (weights * size_of::<f32>()) as f64;
    let memory = vec![1u64; 1 << 25];
    let batch = TokenBatch::from_rows(&[row(8)]).unwrap();
    let mut logits = Vec::new();
    let (mut text, mut copy) = (Vec::new(), Vec::new());
    // Interleaved, so that both run under the same conditions.
    for _ in 0..21 {
        let start = Instant::now();
        black_box(read(black_box(&memory), threads));
        copy.push(size_of_val(&memory[..]) as f64 / start.elapsed().as_nanos() as f64);
        // The first call warms the caches.
        classifier.logits_into(&batch, &mut logits).unwrap();
        let start = Instant::now();
        classifier.logits_into(&batch, &mut logits).unwrap();
        text.push(bytes / start.elapsed().as_nanos() as f64);
    }
    let [text, memory] = [&mut text, &mut copy].map(|rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!(
        "1x8 in f32 on {threads} threads reads its weights at {text:.1} GB/s, {:.0}% of the {memory:.1} GB/s \
         that memory is read at",
        100.0 * text / memory,
    );
}

/// Reads memory on several threads, each from four places at once, which is faster than from one.
fn read(memory: &[u64], threads: usize) -> u64 {
    thread::scope(|scope| {
        let read_part = |part: &[u64]| {
            let quarter = part.len() / 4;
            let mut sums = [[0u64; 8]; 4];
            for at in (0..quarter - quarter % 8).step_by(8) {
                for (stream, sums) in sums.iter_mut().enumerate() {
                    let line = &part[stream * quarter + at..][..8];
                    for (sum, value) in sums.iter_mut().zip(line) {
                        *sum ^= value;
                    }
                }
            }
            sums.into_iter().flatten().fold(0, |all, sum| all ^ sum)
        };
        let parts = memory.chunks(memory.len() / threads);
        let readers: Vec<_> = parts.map(|part| scope.spawn(move || read_part(part))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).fold(0, |all, sum| all ^ sum)
    })
}
