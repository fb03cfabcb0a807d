//! Latency of calls that follow one another, and of concurrent callers: `cargo bench --bench calls`.
//!
//! The first table has the time of one call after some other work of the caller: with two threads, a helper that has
//! fallen asleep in the meantime must be woken. The second has the latencies of eight callers of one classifier. The
//! third has the rate of a batch of texts on a tiny model, which is mostly the tokenizer's.
//!
//! Configurations are interleaved in rounds, so that all run under the same conditions. The output is checked first.

mod support;

use std::hint;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use distilbert::{Classifier, Precision, TokenBatch};
use support::{Model, row};

/// Other work between calls, in microseconds.
const WORK: [u64; 5] = [0, 20, 40, 100, 500];

const CALLERS: usize = 8;

/// A classifier and the name of its settings.
struct Setting {
    name: String,
    classifier: Classifier,
}

fn main() {
    // Cargo passes `--bench`; anything else, such as a filter for other benchmarks, leaves this one out.
    if std::env::args().skip(1).any(|argument| argument != "--bench") {
        return;
    }
    let model = Model::generate();
    let precisions = [Precision::F32, Precision::Int8];
    println!("\n8 tokens, µs from call to result, median / 99th percentile, after other work of");
    let after = WORK.map(|work| format!("{:>17}", format!("{work} µs")));
    println!("{:28}{}", "", after.concat());
    for precision in precisions {
        consecutive(&settings(&model, precision));
    }
    println!("\n{CALLERS} callers of one classifier, 16 tokens, latencies in µs");
    println!("{:28}{:>9}{:>9}{:>12}{:>18}", "", "median", "99%", "fair share", "99% / fair share");
    for precision in precisions {
        settings(&model, precision)[1..].iter().for_each(concurrent);
    }
    texts();
}

/// Returns one thread, two, and two whose helper sleeps at once.
fn settings(model: &Model, precision: Precision) -> [Setting; 3] {
    [(1, None, ""), (2, None, "s"), (2, Some(Duration::ZERO), "s, no spinning")].map(
        |(threads, spin, rest)| {
            let builder =
                Classifier::builder(model.folder(precision)).precision(precision).threads(threads);
            let classifier = match spin {
                None => builder.build().unwrap(),
                Some(spin) => builder.spin(spin).build().unwrap(),
            };
            model.check(&classifier);
            Setting { name: format!("{precision}, {threads} thread{rest}"), classifier }
        },
    )
}

/// Returns a percentile of times in microseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[(times.len() - 1) * percent / 100].as_nanos() as f64 / 1000.0
}

/// Keeps the thread busy with something else.
fn work(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        hint::spin_loop();
    }
}

fn consecutive(settings: &[Setting]) {
    const ROUNDS: usize = 20;
    const CALLS: usize = 20;
    let batch = TokenBatch::from_rows(&[row(8)]).unwrap();
    let mut times = vec![[const { Vec::new() }; WORK.len()]; settings.len()];
    let mut logits = Vec::new();
    for _ in 0..ROUNDS {
        for (setting, times) in settings.iter().zip(&mut times) {
            let call = |logits: &mut Vec<f32>| {
                let start = Instant::now();
                setting.classifier.logits_into(&batch, logits).unwrap();
                start.elapsed()
            };
            for (between, times) in WORK.iter().zip(times) {
                // The weights are in the caches of the cores that use them, as far as they fit.
                for _ in 0..3 {
                    call(&mut logits);
                }
                for _ in 0..CALLS {
                    work(Duration::from_micros(*between));
                    times.push(call(&mut logits));
                }
            }
        }
    }
    for (setting, times) in settings.iter().zip(&mut times) {
        let cell = |times: &mut Vec<Duration>| {
            let [median, high] = [50, 99].map(|percent| percentile(times, percent));
            format!("{:>17}", format!("{median:.0} / {high:.0}"))
        };
        println!("{:28}{}", setting.name, times.iter_mut().map(cell).collect::<String>());
    }
}

fn concurrent(Setting { name, classifier }: &Setting) {
    const CALLS: usize = 100;
    let batch = TokenBatch::from_rows(&[row(16)]).unwrap();
    let call = |logits: &mut Vec<f32>| {
        let start = Instant::now();
        classifier.logits_into(&batch, logits).unwrap();
        start.elapsed()
    };
    let mut logits = Vec::new();
    let mut alone: Vec<Duration> = (0..CALLS).map(|_| call(&mut logits)).collect();
    let fair = CALLERS as f64 * percentile(&mut alone, 50);
    let barrier = Barrier::new(CALLERS);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut logits = Vec::new();
                    barrier.wait();
                    (0..CALLS).map(|_| call(&mut logits)).collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let [median, high] = [50, 99].map(|percent| percentile(&mut times, percent));
    println!("{name:28}{median:>9.0}{high:>9.0}{fair:>12.0}{:>18.2}", high / fair);
}

/// Prints the rate at which batches of texts are classified by a model that takes little time itself.
#[cfg(feature = "text")]
fn texts() {
    use test_support::bundled_model;
    use test_support::generator::GeneratedModel;

    const TEXTS: usize = 4000;
    let folder = tempfile::TempDir::new().unwrap();
    let mut config = GeneratedModel::small().config;
    config["vocab_size"] = 30522.into();
    config["n_layers"] = 1.into();
    GeneratedModel::new(config, 1).write(folder.path());
    std::fs::copy(bundled_model().join("tokenizer.json"), folder.path().join("tokenizer.json"))
        .unwrap();
    let texts: Vec<String> = (0..TEXTS)
        .map(|row| format!("{row} people told me that they can't believe what we've done today!"))
        .collect();
    println!("\n{TEXTS} texts of 15 words on a tiny model, median of 11 batches, µs per text");
    let classifiers = [1, 2, 4].map(|threads| {
        (threads, Classifier::builder(folder.path()).threads(threads).build().unwrap())
    });
    let mut times = vec![Vec::new(); classifiers.len()];
    let expected = classifiers[0].1.classify_batch(&texts).unwrap();
    for _ in 0..11 {
        for ((_, classifier), times) in classifiers.iter().zip(&mut times) {
            let start = Instant::now();
            let found = classifier.classify_batch(&texts).unwrap();
            times.push(start.elapsed());
            assert_eq!(found, expected);
        }
    }
    for ((threads, _), times) in classifiers.iter().zip(&mut times) {
        println!(
            "{:28}{:>9.2}",
            format!("{threads} threads"),
            percentile(times, 50) / TEXTS as f64
        );
    }
}

#[cfg(not(feature = "text"))]
fn texts() {}
