//! [`Statistics`]: counters and histograms of a batcher.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::queue::Depth;

/// Snapshot of a [`Batcher`](crate::Batcher)'s counters and histograms, from
/// [`Batcher::statistics`](crate::Batcher::statistics).
///
/// Counting starts when the batcher is built. The values are read one after the other while the workers keep running,
/// so they may be out of step by the requests being handled at that moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Number of requests in the queue. Requests that were canceled may be counted until a worker or a full queue removes
    /// them.
    pub queued_requests: usize,
    /// Number of tokens in the queue.
    pub queued_tokens: usize,
    /// Number of requests that have been queued so far.
    pub accepted: u64,
    /// Number of requests that were refused because the queue was full or their expected wait too long.
    pub overloaded: u64,
    /// Number of requests that were answered with a prediction.
    pub completed: u64,
    /// Number of requests whose computation failed, because of a GPU error or a panic.
    pub failed: u64,
    /// Number of requests whose deadline passed in the queue.
    pub expired: u64,
    /// Number of requests that were canceled while they were in the queue.
    pub canceled: u64,
    /// Number of panics in the workers.
    pub panics: u64,
    /// Seconds from submission to the start of the computation, per request.
    pub queue_seconds: Histogram,
    /// Seconds of computation, per batch.
    pub compute_seconds: Histogram,
    /// Number of tokens per batch.
    pub batch_tokens: Histogram,
    /// Number of requests per batch.
    pub batch_requests: Histogram,
}

/// Distribution of a quantity, in the form of a Prometheus histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bound, inclusive, and number of values up to it that are above the previous one.
    buckets: Vec<(f64, u64)>,
    sum: f64,
}

impl Histogram {
    /// Returns the upper bound of each bucket, inclusive, with the number of values up to that bound; the last bound is
    /// infinite.
    ///
    /// ```
    /// use distilbert::{Batcher, Classifier};
    ///
    /// let classifier = Classifier::builder("models/emotion").threads(1).build()?;
    /// let batcher = Batcher::builder(classifier).build()?;
    /// batcher.submit_tokens(&[101, 2307, 102])?.wait()?;
    /// for (bound, count) in batcher.statistics()?.batch_tokens.cumulative() {
    ///     println!("batch_tokens_bucket{{le=\"{bound}\"}} {count}");
    /// }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.buckets.iter().scan(0, |total, &(bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }

    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.1).sum()
    }

    /// Returns the sum of the values.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Returns the mean of the values; `None` if there are none.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum / count as f64)
    }
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Upper bounds of buckets of times, in nanoseconds.
const TIMES: &[u64] = &[
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    2_500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2_500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
];

const TOKENS: &[u64] = &[8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192];

const REQUESTS: &[u64] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128];

/// Histogram to which many threads add values.
struct Recorder {
    bounds: &'static [u64],
    /// One more element than there are bounds.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    /// Size of the unit in which values are reported.
    unit: f64,
}

impl Recorder {
    fn new(bounds: &'static [u64], unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0), unit }
    }

    fn record(&self, value: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn snapshot(&self) -> Histogram {
        let bounds = self.bounds.iter().map(|&bound| bound as f64 / self.unit);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Histogram {
            buckets: bounds.chain([f64::INFINITY]).zip(counts).collect(),
            sum: self.sum.load(Ordering::Relaxed) as f64 / self.unit,
        }
    }
}

/// Counts events.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters and histograms that workers and submitting threads update.
pub(super) struct Meters {
    pub accepted: Counter,
    pub overloaded: Counter,
    pub completed: Counter,
    pub failed: Counter,
    pub expired: Counter,
    pub canceled: Counter,
    pub panics: Counter,
    queue: Recorder,
    compute: Recorder,
    batch_tokens: Recorder,
    batch_requests: Recorder,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            accepted: Counter::default(),
            overloaded: Counter::default(),
            completed: Counter::default(),
            failed: Counter::default(),
            expired: Counter::default(),
            canceled: Counter::default(),
            panics: Counter::default(),
            queue: Recorder::new(TIMES, SECOND as f64),
            compute: Recorder::new(TIMES, SECOND as f64),
            batch_tokens: Recorder::new(TOKENS, 1.0),
            batch_requests: Recorder::new(REQUESTS, 1.0),
        }
    }
}

impl Meters {
    pub fn queued_for(&self, time: Duration) {
        self.queue.record_time(time);
    }

    pub fn computed(&self, requests: usize, tokens: usize, time: Duration) {
        self.compute.record_time(time);
        self.batch_tokens.record(tokens as u64);
        self.batch_requests.record(requests as u64);
    }

    pub fn snapshot(&self, depth: Depth) -> Statistics {
        Statistics {
            queued_requests: depth.requests,
            queued_tokens: depth.tokens,
            accepted: self.accepted.get(),
            overloaded: self.overloaded.get(),
            completed: self.completed.get(),
            failed: self.failed.get(),
            expired: self.expired.get(),
            canceled: self.canceled.get(),
            panics: self.panics.get(),
            queue_seconds: self.queue.snapshot(),
            compute_seconds: self.compute.snapshot(),
            batch_tokens: self.batch_tokens.snapshot(),
            batch_requests: self.batch_requests.snapshot(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive() {
        let recorder = Recorder::new(&[10, 20], 10.0);
        for value in [0, 10, 11, 20, 21, 1000] {
            recorder.record(value);
        }
        let histogram = recorder.snapshot();
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative, [(1.0, 2), (2.0, 4), (f64::INFINITY, 6)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, 106.2));
        assert_eq!(histogram.mean(), Some(17.7));
        assert_eq!(Recorder::new(&[10], 1.0).snapshot().mean(), None);
    }
}
