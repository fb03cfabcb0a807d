//! [`BatcherError`]: batchers that cannot be built, and requests that a batcher did not process.

use std::time::Duration;

/// Errors from building a [`Batcher`](crate::Batcher), or from a request that it did not process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatcherError {
    /// The queue is full, or a request would wait for too long. It may succeed later.
    #[error(
        "the queue is overloaded: {requests} of at most {max_requests} requests and {tokens} of at most {max_tokens} \
         tokens are waiting, and another request would wait about {} ms", expected_wait.as_millis()
    )]
    Overloaded {
        /// Number of requests in the queue.
        requests: usize,
        /// Maximum number of requests in the queue.
        max_requests: usize,
        /// Number of tokens in the queue.
        tokens: usize,
        /// Maximum number of tokens in the queue.
        max_tokens: usize,
        /// Time that another request would be expected to wait.
        expected_wait: Duration,
    },

    /// The request has more tokens than the queue can hold, so it can never succeed.
    #[error("the request has {tokens} tokens, but the queue holds at most {max_tokens}")]
    TooLarge {
        /// Number of tokens of the request.
        tokens: usize,
        /// Maximum number of tokens in the queue.
        max_tokens: usize,
    },

    /// The deadline passed before the request was answered.
    #[error("the deadline passed {} ms after the request was submitted", waited.as_millis())]
    Expired {
        /// Time since the request was submitted.
        waited: Duration,
    },

    /// The batcher was shut down.
    #[error("the batcher was shut down")]
    ShutDown,

    /// The batcher belongs to the parent of this process. Its threads do not exist here.
    #[error("the batcher was built before this process was forked: build one after the fork")]
    Forked,

    /// The worker panicked while processing the request.
    #[error("the worker panicked while processing the request: {reason}")]
    Panicked {
        /// Message of the panic.
        reason: String,
    },

    /// The result of the request was already taken.
    #[error("the result of the request was already taken")]
    Taken,

    /// The classifiers of a batcher have different models.
    #[error("classifier {index} differs from classifier 0 in its {what}")]
    DifferentModels {
        /// Index of the classifier.
        index: usize,
        /// Part of the model that differs: `configuration` or `labels`.
        what: &'static str,
    },
}
