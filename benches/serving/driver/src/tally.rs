//! [`Tally`]: what happened to the requests of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::connection::{Failure, Reply};

/// Answers by status, and the latencies of those that succeeded.
#[derive(Debug)]
pub struct Tally {
    /// Number of responses by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Number of requests without a response.
    pub failed: u64,
    /// Number of responses with status 200 that were not as expected.
    pub wrong: u64,
    /// Time from the first request to the last response.
    pub elapsed: Duration,
    /// Largest latency of a response with any status.
    pub slowest: Duration,
    /// Latencies of responses with status 200, in microseconds.
    latencies: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            failed: 0,
            wrong: 0,
            elapsed: Duration::ZERO,
            slowest: Duration::ZERO,
            latencies: Histogram::new(3).expect("three digits are supported"),
        }
    }
}

impl Tally {
    /// Counts a request.
    pub fn count(&mut self, result: &Result<Reply, Failure>, is_right: bool, latency: Duration) {
        let Ok(reply) = result else {
            self.failed += 1;
            return;
        };
        *self.statuses.entry(reply.status).or_default() += 1;
        self.slowest = self.slowest.max(latency);
        if reply.status != 200 {
            return;
        }
        self.wrong += u64::from(!is_right);
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // Never fails: the histogram grows with its values.
        let _ = self.latencies.record(microseconds);
    }

    /// Adds what happened in another load.
    pub fn add(&mut self, other: &Self) {
        for (&status, count) in &other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.elapsed += other.elapsed;
        self.slowest = self.slowest.max(other.slowest);
        // Histograms that grow hold any value.
        let _ = self.latencies.add(&other.latencies);
    }

    /// Returns the number of responses with a status.
    pub fn of_status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Returns the latency that a share of the successful requests did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(share))
    }

    /// Returns everything as JSON, with the latencies as pairs of microseconds and count.
    pub fn json(&self) -> Value {
        let latencies = self.latencies.iter_recorded();
        let latencies = latencies.map(|step| (step.value_iterated_to(), step.count_at_value()));
        json!({
            "statuses": self.statuses,
            "failed": self.failed,
            "wrong": self.wrong,
            "seconds": self.elapsed.as_secs_f64(),
            "latencies": latencies.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    fn tally(milliseconds: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for &time in milliseconds {
            let reply = Reply { status: 200, body: Bytes::new() };
            tally.count(&Ok(reply), true, Duration::from_millis(time));
        }
        tally
    }

    #[test]
    fn latencies_of_any_length_are_kept() {
        let mut found = tally(&[1, 20, 5000]);
        found.add(&tally(&[70_000]));
        let near = |share: f64, expected: f64| {
            let found = found.quantile(share).as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
        };
        near(0.25, 1.0);
        near(0.5, 20.0);
        near(0.75, 5000.0);
        near(1.0, 70_000.0);
        assert_eq!(found.of_status(200), 4);
    }
}
