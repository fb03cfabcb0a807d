//! [`SubmitOptions`] and [`Shutdown`].

use std::time::{Duration, Instant};

#[cfg(feature = "text")]
use crate::{ClassifyOptions, Truncation};

/// Options for one request: [`Batcher::submit_with`](crate::Batcher::submit_with) and
/// [`submit_tokens_with`](crate::Batcher::submit_tokens_with).
///
/// ```
/// # #[cfg(feature = "text")] {
/// use std::time::Duration;
///
/// use distilbert::Truncation;
/// use distilbert::batcher::SubmitOptions;
///
/// let options = SubmitOptions::default()
///     .truncation(Truncation::Error)
///     .timeout(Duration::from_millis(200));
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct SubmitOptions {
    #[cfg(feature = "text")]
    pub(super) classify: ClassifyOptions,
    pub(super) deadline: Option<Instant>,
}

impl SubmitOptions {
    /// Sets how a text longer than the model's limit is handled; by default as set by
    /// [`ClassifierBuilder::truncation`](crate::ClassifierBuilder::truncation). Token ids are never truncated.
    #[cfg(feature = "text")]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.classify = self.classify.truncation(truncation);
        self
    }

    /// Counts the dropped tokens of a truncated text like [`ClassifyOptions::count_dropped_tokens`].
    #[cfg(feature = "text")]
    pub fn count_dropped_tokens(mut self, count: bool) -> Self {
        self.classify = self.classify.count_dropped_tokens(count);
        self
    }

    /// Sets the maximum number of tokens that are read at once, like [`ClassifyOptions::max_tokens`].
    #[cfg(feature = "text")]
    pub fn max_tokens(mut self, tokens: usize) -> Self {
        self.classify = self.classify.max_tokens(tokens);
        self
    }

    /// Sets the time after which the answer is of no use; by default there is none.
    ///
    /// A request that has not been started by the deadline is never processed and fails with
    /// [`BatcherError::Expired`](crate::BatcherError::Expired). [`Pending::wait`](super::Pending::wait) returns by the
    /// deadline. A task that awaits the request is woken not at the deadline, but when a worker reaches the request.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the [`deadline`](Self::deadline) to a time from now. A time too far in the future to represent means no deadline.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Instant::now().checked_add(timeout);
        self
    }
}

/// Treatment of waiting requests when a batcher is shut down: [`Batcher::shutdown`](crate::Batcher::shutdown).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Processes them all.
    Drain,
    /// Processes as many as the time allows; the rest fail with
    /// [`BatcherError::ShutDown`](crate::BatcherError::ShutDown).
    DrainFor(Duration),
    /// Fails them with [`BatcherError::ShutDown`](crate::BatcherError::ShutDown). Batches that are being processed are
    /// finished.
    Abort,
}
