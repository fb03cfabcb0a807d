//! [`Pace`]: the time that a worker takes for a token, from which the wait of a request is estimated.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Weight of the last batch in the moving average.
const WEIGHT: f64 = 0.1;

/// Moving average of a worker's seconds for a token; 0 before the first batch.
///
/// Workers that record at the same time may overwrite each other's batch, which does not matter to an average.
#[derive(Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    fn seconds(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Records the time that a worker took for a batch.
    pub fn record(&self, tokens: usize, time: Duration) {
        let (old, new) = (self.seconds(), time.as_secs_f64() / tokens.max(1) as f64);
        let average = if old > 0.0 { old + WEIGHT * (new - old) } else { new };
        self.0.store(average.to_bits(), Ordering::Relaxed);
    }

    /// Estimates how long a request waits behind a number of tokens.
    pub fn wait(&self, tokens: usize, workers: usize) -> Duration {
        let seconds = self.seconds() * tokens as f64 / workers.max(1) as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_average_and_the_workers() {
        let pace = Pace::default();
        assert_eq!(pace.wait(1000, 1), Duration::ZERO);
        pace.record(10, Duration::from_millis(10));
        assert_eq!(pace.wait(8, 1), Duration::from_millis(8));
        assert_eq!(pace.wait(8, 2), Duration::from_millis(4));
        pace.record(10, Duration::from_millis(20));
        assert_eq!(pace.wait(10, 1), Duration::from_millis(11));
    }
}
