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
        // The histogram grows with its values.
        self.latencies.saturating_record(microseconds);
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
