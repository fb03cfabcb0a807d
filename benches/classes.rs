//! The bundled model on real texts in every precision: speed relative to f32, and memory.
//! `cargo bench --bench classes`, on one thread; `THREADS` sets another number.
//!
//! The texts are the single-label rows of GoEmotions' development set if `GOEMOTIONS` is set, or else those of the goldens.
//! Times include tokenization. Rounds are interleaved, and times are medians. Before anything is timed, labels are compared
//! with those of f32.

use std::time::{Duration, Instant};

use distilbert::{Classifier, Precision, Prediction};
use test_support::{bundled_model, goemotions, precisions, token_goldens};

const ROUNDS: usize = 7;

/// Number of texts per call.
const BATCH: usize = 64;

struct Class {
    precision: Precision,
    classifier: Classifier,
    /// Bytes of memory of the loaded model and its buffers, if known.
    memory: Option<u64>,
    times: Vec<Duration>,
}

impl Class {
    fn load(precision: Precision, threads: usize) -> Self {
        let before = memory();
        let builder = Classifier::builder(bundled_model()).precision(precision).threads(threads);
        let classifier = builder.build().unwrap();
        classifier.classify(&"word ".repeat(1000)).unwrap();
        let memory = before.zip(memory()).map(|(before, after)| after.saturating_sub(before));
        Self { precision, classifier, memory, times: Vec::new() }
    }

    fn classify(&self, texts: &[String]) -> Vec<Prediction> {
        let batches = texts.chunks(BATCH);
        batches.flat_map(|texts| self.classifier.classify_batch(texts).unwrap()).collect()
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    }
}

fn main() {
    // `cargo bench` passes options that are for other harnesses.
    let threads = std::env::var("THREADS").map_or(1, |count| count.parse().unwrap());
    let texts = texts();
    let load = |&precision: &Precision| Class::load(precision, threads);
    let mut classes: Vec<Class> = precisions().iter().map(load).collect();
    let exact = classes[0].classify(&texts);
    let notes: Vec<String> =
        classes.iter().map(|class| check(&class.classify(&texts), &exact)).collect();
    for _ in 0..ROUNDS {
        for class in &mut classes {
            let start = Instant::now();
            class.classify(&texts);
            class.times.push(start.elapsed());
        }
    }
    let set = classes[0].classifier.info().instruction_set;
    println!("{} texts, {threads} threads, {set}", texts.len());
    println!("| precision | µs per text | speed | memory, MB | |\n|---|---|---|---|---|");
    let base = classes[0].median();
    for (class, note) in classes.iter().zip(notes) {
        let time = class.median();
        let memory = class.memory.map_or("?".to_owned(), |bytes| (bytes >> 20).to_string());
        let micros = 1e6 * time / texts.len() as f64;
        println!("| {} | {micros:.0} | {:.2} | {memory} | {note} |", class.precision, base / time);
    }
}

/// Checks that labels agree, and describes them.
fn check(found: &[Prediction], exact: &[Prediction]) -> String {
    let pairs = || found.iter().zip(exact);
    let same = pairs().filter(|(found, exact)| found.label() == exact.label()).count();
    let share = same as f64 / exact.len() as f64;
    assert!(share >= 0.98, "only {share} of the labels are those of f32");
    let again = found.iter().filter(|found| found.precision() == Precision::F32).count();
    let again = 100.0 * again as f64 / exact.len() as f64;
    format!("{:.2}% of the labels of f32; {again:.2}% answered by f32", 100.0 * share)
}

fn texts() -> Vec<String> {
    match goemotions::folder() {
        Some(folder) => {
            let rows = goemotions::single_label_rows(&folder, "dev.tsv");
            rows.into_iter().map(|(text, _)| text).collect()
        }
        None => token_goldens().into_iter().map(|(text, _)| text).step_by(5).collect(),
    }
}

/// Returns the bytes of anonymous memory of this process, if known.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
