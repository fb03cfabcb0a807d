//! [`Pending`]: the handle of a request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::request::{Answer, Timing};
use super::slot::{Outcome, Receiver};
use crate::error::{BatcherError, Result};
use crate::prediction::Prediction;

/// A request that a [`Batcher`](crate::Batcher) will answer.
///
/// It is a [`Future`] for any executor, and threads can [`wait`](Self::wait) for it. Dropping it cancels the request: a
/// request that has not been started is never processed.
///
/// ```
/// # #[cfg(feature = "text")] {
/// use distilbert::{Batcher, Classifier};
///
/// async fn label(batcher: &Batcher, text: &str) -> distilbert::Result<String> {
///     let prediction = batcher.submit(text)?.await?;
///     Ok(prediction.label().to_owned())
/// }
///
/// let classifier = Classifier::builder("models/emotion").threads(1).build()?;
/// let batcher = Batcher::builder(classifier).build()?;
/// let prediction = batcher.submit("What a shock!")?.wait()?;
/// assert_eq!(prediction.label(), "surprise");
/// # }
/// # Ok::<(), distilbert::Error>(())
/// ```
///
/// # Errors
/// The result is [`BatcherError::Expired`] if the deadline passed, [`BatcherError::ShutDown`] if the batcher was shut
/// down before the request was processed, [`BatcherError::Panicked`] if processing it panicked,
/// [`BatcherError::Forked`] in a forked child, [`BatcherError::Taken`] if the result was already taken, or
/// [`Error::Device`](crate::Error::Device) if a GPU failed.
#[must_use = "dropping a request cancels it"]
pub struct Pending {
    receiver: Receiver<Answer>,
    submitted: Instant,
    deadline: Option<Instant>,
    tokens: usize,
    tokenization: Duration,
    timing: Option<Timing>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pending")
            .field("tokens", &self.tokens)
            .field("deadline", &self.deadline)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

impl Pending {
    pub(super) fn new(
        receiver: Receiver<Answer>,
        deadline: Option<Instant>,
        tokens: usize,
        tokenization: Duration,
    ) -> Self {
        let submitted = Instant::now();
        Self { receiver, submitted, deadline, tokens, tokenization, timing: None }
    }

    /// Blocks this thread until the result is available, or until the [deadline](super::SubmitOptions::deadline) if
    /// there is one.
    ///
    /// # Errors
    /// See [`Pending`].
    pub fn wait(mut self) -> Result<Prediction> {
        match self.receiver.wait(self.deadline) {
            Some(outcome) => self.accept(outcome),
            None => Err(self.expire().into()),
        }
    }

    /// Waits for the result like [`wait`](Self::wait), but returns `None` if it is not available within the timeout.
    /// The request stays queued, so the call can be repeated.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use distilbert::{Batcher, Classifier};
    ///
    /// let classifier = Classifier::builder("models/emotion").threads(1).build()?;
    /// let batcher = Batcher::builder(classifier).build()?;
    /// let mut pending = batcher.submit_tokens(&[101, 1045, 3335, 2032, 102])?;
    /// let prediction = loop {
    ///     match pending.wait_timeout(Duration::from_millis(10)) {
    ///         Some(result) => break result?,
    ///         None => println!("still waiting"),
    ///     }
    /// };
    /// assert_eq!(prediction.label(), "sadness");
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Pending`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<Prediction>> {
        let until = Instant::now().checked_add(timeout);
        let until = until.into_iter().chain(self.deadline).min();
        match self.receiver.wait(until) {
            Some(outcome) => Some(self.accept(outcome)),
            None if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                Some(Err(self.expire().into()))
            }
            None => None,
        }
    }

    /// Returns `true` if the result can be taken without waiting.
    pub fn is_ready(&self) -> bool {
        self.receiver.is_ready()
    }

    /// Returns the number of tokens in the request's rows, special tokens included. Tokens that several windows share
    /// count more than once.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Returns how long the steps of the request took; `None` until its result has been taken.
    ///
    /// ```
    /// use distilbert::{Batcher, Classifier};
    ///
    /// async fn timed(batcher: &Batcher, ids: &[u32]) -> distilbert::Result<()> {
    ///     let mut pending = batcher.submit_tokens(ids)?;
    ///     let prediction = (&mut pending).await?;
    ///     println!("{} {:?}", prediction.label(), pending.timing());
    ///     Ok(())
    /// }
    /// ```
    pub fn timing(&self) -> Option<Timing> {
        self.timing
    }

    fn accept(&mut self, outcome: Outcome<Answer>) -> Result<Prediction> {
        match outcome {
            Outcome::Answer((result, timing)) => {
                self.timing = Some(Timing { tokenization: self.tokenization, ..timing });
                result
            }
            // A worker answers each request, unless it panics while it holds the request.
            Outcome::Abandoned => {
                Err(BatcherError::Panicked { reason: "outside the model".to_owned() }.into())
            }
            Outcome::Taken => Err(BatcherError::Taken.into()),
            Outcome::Forked => Err(BatcherError::Forked.into()),
        }
    }

    fn expire(&mut self) -> BatcherError {
        self.receiver.close();
        BatcherError::Expired { waited: self.submitted.elapsed() }
    }
}

impl Future for Pending {
    type Output = Result<Prediction>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll(context.waker()).map(|outcome| self.accept(outcome))
    }
}
