//! [`Batcher`]: answers the requests of a service in batches, on threads of its own.
//!
//! A service has many requests at a time, each for one text. A batcher queues them. Whenever one of its workers is
//! free, it takes what is waiting and processes it as one batch. It never waits for more, so a lone request is processed
//! at once, and batches grow only when there is a queue. Results are bit-identical to those of
//! [`Classifier::classify`], whatever else is in the batch.
//!
//! ```
//! # #[cfg(feature = "text")] {
//! use distilbert::{Batcher, Classifier};
//!
//! // One thread per call: the batcher's workers run in parallel.
//! let classifier = Classifier::builder("models/emotion").threads(1).build()?;
//! let batcher = Batcher::builder(classifier).build()?;
//! let texts = ["I can't believe we won!", "I miss you so much.", "What a shock!"];
//! let pending: Vec<_> = texts.iter().map(|text| batcher.submit(text)).collect::<Result<_, _>>()?;
//! for request in pending {
//!     println!("{}", request.wait()?.label());
//! }
//! # }
//! # Ok::<(), distilbert::Error>(())
//! ```
//!
//! # Threads and tasks
//!
//! [`submit`](Batcher::submit) tokenizes the text on the calling thread and returns a [`Pending`], which is a [`Future`]
//! as well as a handle that threads can wait on. No asynchronous runtime is needed, and any can be used, because
//! workers call wakers. A waker that runs its task on the spot delays the worker.
//!
//! # Overload
//!
//! The queue is bounded by requests and by tokens. A request that finds it full is refused at once with
//! [`BatcherError::Overloaded`], before it is tokenized if too many requests wait. With
//! [`max_wait`](BatcherBuilder::max_wait), so is a request that would wait for too long at the pace of the workers. A
//! request that is dropped, or whose [deadline](SubmitOptions::deadline) passes, is not processed.
//!
//! # Order
//!
//! Requests are started in order of arrival. A batch has at most the [configured number](BatcherBuilder::batch_tokens)
//! of tokens, or a single row. A text that is split into [windows](crate::Truncation::Windows) goes to the end of the
//! queue after each batch, so that others wait for one batch of it and not for the whole text. Its windows are computed
//! one batch after another.
//!
//! # Failures
//!
//! Bad input fails in `submit`, and never reaches a worker. If processing a batch fails or panics, each of its requests
//! is processed again on its own, and only those that fail again return an error. A worker survives panics. A forked
//! child has no workers, and every call fails with [`BatcherError::Forked`].

mod builder;
#[cfg(all(test, loom))]
mod models;
mod options;
mod pace;
mod pending;
mod queue;
mod request;
mod slot;
mod statistics;
mod sync;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

pub use self::builder::BatcherBuilder;
pub use self::options::{Shutdown, SubmitOptions};
pub use self::pending::Pending;
pub use self::request::Timing;
pub use self::statistics::{Histogram, Statistics};

use self::request::{Input, Request};
use self::worker::Shared;
use crate::classifier::Classifier;
use crate::error::{BatcherError, Result};
use crate::input::batch::TokenBatch;
use crate::sync::PerProcess;

/// Queue of requests and the workers that process them in batches; see the [module](self).
///
/// All methods take `&self`, and a batcher is `Send + Sync`. Dropping it is like
/// [`shutdown(Shutdown::Abort)`](Self::shutdown).
pub struct Batcher {
    inner: PerProcess<Inner>,
    batch_tokens: usize,
}

/// Part of a batcher that a forked child must not touch.
struct Inner {
    shared: Arc<Shared>,
    ids: Vec<ThreadId>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Batcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Batcher");
        if let Some(Inner { shared, ids, .. }) = self.inner.get() {
            debug
                .field("classifiers", &shared.classifiers)
                .field("workers", &ids.len())
                .field("limits", &shared.queue.limits())
                .field("depth", &shared.queue.depth());
        }
        debug.finish_non_exhaustive()
    }
}

impl Batcher {
    /// Starts building a batcher that runs a classifier.
    pub fn builder(classifier: impl Into<Arc<Classifier>>) -> BatcherBuilder {
        BatcherBuilder::new(classifier.into())
    }

    /// Queues a text.
    ///
    /// # Errors
    /// Fails like [`submit_with`](Self::submit_with).
    #[cfg(feature = "text")]
    pub fn submit(&self, text: &str) -> Result<Pending> {
        self.submit_with(text, &SubmitOptions::default())
    }

    /// Queues a text, with options for this request.
    ///
    /// The text is tokenized on this thread, so that the queue knows the number of its tokens and workers do nothing
    /// but compute.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use distilbert::batcher::SubmitOptions;
    /// use distilbert::{Batcher, BatcherError, Classifier, Error};
    ///
    /// let classifier = Classifier::builder("models/emotion").threads(1).build()?;
    /// let batcher = Batcher::builder(classifier).build()?;
    /// let options = SubmitOptions::default().timeout(Duration::from_secs(5));
    /// match batcher.submit_with("What a shock!", &options).and_then(|pending| pending.wait()) {
    ///     Ok(prediction) => println!("200 {}", prediction.label()),
    ///     Err(Error::Input(error)) => println!("400 {error}"),
    ///     Err(Error::Batcher(error @ BatcherError::Overloaded { .. })) => println!("429 {error}"),
    ///     Err(Error::Batcher(error @ BatcherError::Expired { .. })) => println!("504 {error}"),
    ///     Err(error) => println!("500 {error}"),
    /// }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`BatcherError::Overloaded`] if the queue is full or the expected wait too long, [`BatcherError::TooLarge`] if
    ///   the queue could never hold the request
    /// - [`BatcherError::ShutDown`] if the batcher was shut down, [`BatcherError::Forked`] in a forked child
    /// - [`Error::Input`](crate::Error::Input) as from [`Classifier::classify`]
    #[cfg(feature = "text")]
    pub fn submit_with(&self, text: &str, options: &SubmitOptions) -> Result<Pending> {
        let shared = self.shared()?;
        shared.check()?;
        let start = Instant::now();
        let classifier = &shared.classifiers[0];
        let tokenizer = classifier.tokenizer()?;
        let text = classifier.fit_with(0, text, &options.classify)?;
        let rows: Vec<Vec<u32>> = text.rows(tokenizer).collect();
        let input = Input {
            rows: TokenBatch::from_rows(&rows)?,
            tokens: text.tokens(tokenizer),
            cut: text.cut,
            windows: text.windows,
        };
        submit_input(shared, input, options.deadline, start.elapsed())
    }

    /// Queues a row of token ids, for callers that have their own tokenizer.
    ///
    /// # Errors
    /// Fails like [`submit_tokens_with`](Self::submit_tokens_with).
    pub fn submit_tokens(&self, ids: &[u32]) -> Result<Pending> {
        self.submit_tokens_with(ids, &SubmitOptions::default())
    }

    /// Queues a row of token ids, with options for this request.
    ///
    /// # Errors
    /// - [`BatcherError::Overloaded`], [`BatcherError::TooLarge`], [`BatcherError::ShutDown`] and
    ///   [`BatcherError::Forked`] as from [`submit_with`](Self::submit_with)
    /// - [`InputError::EmptyRow`](crate::InputError::EmptyRow) if there are no ids, otherwise
    ///   [`Error::Input`](crate::Error::Input) as from [`Classifier::classify_tokens`]
    pub fn submit_tokens_with(&self, ids: &[u32], options: &SubmitOptions) -> Result<Pending> {
        let shared = self.shared()?;
        shared.check()?;
        let rows = TokenBatch::from_rows(&[ids])?;
        let config = shared.classifiers[0].config();
        rows.check(config.vocab_size, config.max_position_embeddings)?;
        let windows = std::iter::once(0..ids.len()).collect();
        let input = Input { rows, windows, cut: None, tokens: ids.len() };
        submit_input(shared, input, options.deadline, Duration::ZERO)
    }

    /// Returns the maximum number of tokens of waiting requests that are processed as one batch.
    pub fn batch_tokens(&self) -> usize {
        self.batch_tokens
    }

    /// Returns counters and histograms.
    ///
    /// # Errors
    /// [`BatcherError::Forked`] in a forked child.
    pub fn statistics(&self) -> Result<Statistics> {
        let shared = self.shared()?;
        Ok(shared.meters.snapshot(shared.queue.depth()))
    }

    /// Stops accepting requests, handles those that are waiting, and returns when the workers have ended.
    ///
    /// It can be called again, and from several threads: an [`Abort`](Shutdown::Abort) ends a
    /// [`Drain`](Shutdown::Drain) in progress. If it is called on one of the batcher's own threads, for example by a
    /// waker, it does not wait, and [`DrainFor`](Shutdown::DrainFor) acts like [`Drain`](Shutdown::Drain). It does
    /// nothing in a forked child.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use distilbert::batcher::Shutdown;
    /// use distilbert::{Batcher, Classifier};
    ///
    /// let classifier = Classifier::builder("models/emotion").threads(1).build()?;
    /// let batcher = Batcher::builder(classifier).build()?;
    /// let pending = batcher.submit_tokens(&[101, 2307, 102])?;
    /// batcher.shutdown(Shutdown::DrainFor(Duration::from_secs(10)));
    /// assert!(pending.wait().is_ok());
    /// assert!(batcher.submit_tokens(&[101, 2307, 102]).is_err());
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn shutdown(&self, shutdown: Shutdown) {
        if let Some(inner) = self.inner.get() {
            inner.shutdown(shutdown);
        }
    }

    fn shared(&self) -> Result<&Shared, BatcherError> {
        self.inner.get().map(|inner| &*inner.shared).ok_or(BatcherError::Forked)
    }
}

/// Queues a request.
fn submit_input(
    shared: &Shared,
    input: Input,
    deadline: Option<Instant>,
    tokenization: Duration,
) -> Result<Pending> {
    let tokens = input.rows.tokens();
    let max_tokens = shared.queue.limits().tokens;
    if tokens > max_tokens {
        return Err(BatcherError::TooLarge { tokens, max_tokens }.into());
    }
    let (reply, receiver) = slot::slot(shared.queue.dropped());
    shared.push(Request::new(input, deadline, reply))?;
    Ok(Pending::new(receiver, deadline, tokens, tokenization))
}

impl Inner {
    fn shutdown(&self, shutdown: Shutdown) {
        let queue = &self.shared.queue;
        // A worker would wait for itself.
        let waits = !self.ids.contains(&thread::current().id());
        match shutdown {
            Shutdown::Abort => self.shared.abort(),
            Shutdown::Drain => drop(queue.close(false)),
            Shutdown::DrainFor(time) => {
                drop(queue.close(false));
                if waits && !queue.wait_for_end(Instant::now().checked_add(time)) {
                    self.shared.abort();
                }
            }
        }
        if !waits {
            return;
        }
        queue.wait_for_end(None);
        let workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // Workers catch panics.
            let _ = worker.join();
        }
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Abort);
    }
}

const _: () = {
    const fn assert_send_sync<T: Send + Sync>() {}
    const fn assert_unpin<T: Unpin>() {}
    assert_send_sync::<Batcher>();
    assert_send_sync::<Pending>();
    assert_unpin::<Pending>();
};
