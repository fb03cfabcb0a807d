//! [`Meters`]: metrics of the HTTP layer, in addition to those of the queues.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use distilbert::batcher::Histogram;

use crate::failure::Kind;

/// Upper bounds of buckets of times, in seconds.
const TIMES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of buckets of shorter times, in seconds.
const SHORT_TIMES: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1];

/// Upper bounds of buckets of tokens.
const TOKENS: &[f64] = &[8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0];

/// Values of one kind, in buckets.
struct Recorder {
    bounds: &'static [f64],
    /// One more element than there are bounds.
    counts: Vec<AtomicU64>,
    /// In billionths.
    sum: AtomicU64,
}

impl Recorder {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    fn record(&self, value: f64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e9) as u64, Ordering::Relaxed);
    }

    fn write(&self, page: &mut Page, name: &str) {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.counts.iter().scan(0, |total, count| {
            *total += count.load(Ordering::Relaxed);
            Some(*total)
        });
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e9;
        page.histogram(name, "", bounds.zip(counts), sum);
    }
}

/// Counters and histograms of the HTTP layer.
pub struct Meters {
    requests: AtomicU64,
    successes: AtomicU64,
    failures: Mutex<BTreeMap<&'static str, u64>>,
    duration: Recorder,
    tokenization: Recorder,
    tokens: Recorder,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            failures: Mutex::default(),
            duration: Recorder::new(TIMES),
            tokenization: Recorder::new(SHORT_TIMES),
            tokens: Recorder::new(TOKENS),
        }
    }
}

impl Meters {
    /// Records the end of a request for a prediction.
    pub fn ended(&self, failure: Option<Kind>, duration: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.duration.record(duration.as_secs_f64());
        match failure {
            None => {
                self.successes.fetch_add(1, Ordering::Relaxed);
            }
            Some(kind) => {
                let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                *failures.entry(kind.name()).or_default() += 1;
            }
        }
    }

    /// Records the tokens of a request and the time that tokenizing them took.
    pub fn answered(&self, tokens: usize, tokenization: Duration) {
        self.tokens.record(tokens as f64);
        self.tokenization.record(tokenization.as_secs_f64());
    }

    pub fn write(&self, page: &mut Page) {
        page.counter("te_request_count", "", self.requests.load(Ordering::Relaxed));
        page.counter("te_request_success", "", self.successes.load(Ordering::Relaxed));
        page.kind("te_request_failure", "counter");
        for (name, count) in self.failures.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            page.line("te_request_failure", &format!("err=\"{name}\""), *count as f64);
        }
        self.duration.write(page, "te_request_duration");
        self.tokenization.write(page, "te_request_tokenization_duration");
        self.tokens.write(page, "te_request_input_length");
    }
}

/// A page in Prometheus' text format.
#[derive(Default)]
pub struct Page(pub String);

impl Page {
    pub fn kind(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    pub fn line(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    pub fn counter(&mut self, name: &str, labels: &str, value: u64) {
        self.kind(name, "counter");
        self.line(name, labels, value as f64);
    }

    /// Writes the buckets of a histogram, from upper bound to cumulative count.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &str,
        buckets: impl Iterator<Item = (f64, u64)>,
        sum: f64,
    ) {
        self.kind(name, "histogram");
        self.buckets(name, labels, buckets, sum);
    }

    /// Writes the lines of a histogram without its type.
    pub fn buckets(
        &mut self,
        name: &str,
        labels: &str,
        buckets: impl Iterator<Item = (f64, u64)>,
        sum: f64,
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (bound, cumulative) in buckets {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            let labels = format!("{labels}{comma}le=\"{bound}\"");
            self.line(&format!("{name}_bucket"), &labels, cumulative as f64);
            count = cumulative;
        }
        self.line(&format!("{name}_sum"), labels, sum);
        self.line(&format!("{name}_count"), labels, count as f64);
    }

    /// Writes the lines of a queue's histogram.
    pub fn of_queue(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        self.buckets(name, labels, histogram.cumulative(), histogram.sum());
    }
}

/// Escapes the value of a label.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
