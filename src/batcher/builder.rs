//! [`BatcherBuilder`]: configures and starts a batcher.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::queue::{Limits, Queue};
use super::statistics::Meters;
use super::worker::{Hook, Shared, work};
use super::{Batcher, Inner};
use crate::classifier::Classifier;
use crate::cpu::Threads;
use crate::device::Device;
use crate::error::{BatcherError, DeviceError, Result};
use crate::input::batch::TokenBatch;
use crate::sync::PerProcess;

/// Builder for a [`Batcher`], created by [`Batcher::builder`].
///
/// ```
/// use distilbert::{Batcher, Classifier};
///
/// let classifier = Classifier::builder("models/emotion").threads(1).build()?;
/// let batcher = Batcher::builder(classifier)
///     .workers(2)
///     .batch_tokens(256)
///     .max_queued_requests(1000)
///     .build()?;
/// # Ok::<(), distilbert::Error>(())
/// ```
#[must_use]
pub struct BatcherBuilder {
    classifiers: Vec<Arc<Classifier>>,
    workers: Option<usize>,
    limits: Limits,
    before_batch: Option<Hook>,
}

impl fmt::Debug for BatcherBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BatcherBuilder")
            .field("classifiers", &self.classifiers)
            .field("workers", &self.workers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl BatcherBuilder {
    /// Default maximum number of tokens per batch.
    pub const DEFAULT_BATCH_TOKENS: usize = 128;

    /// Default maximum number of waiting requests.
    pub const DEFAULT_MAX_QUEUED_REQUESTS: usize = 512;

    /// Default maximum number of waiting tokens.
    pub const DEFAULT_MAX_QUEUED_TOKENS: usize = 1 << 14;

    pub(super) fn new(classifier: Arc<Classifier>) -> Self {
        let limits = Limits {
            requests: Self::DEFAULT_MAX_QUEUED_REQUESTS,
            tokens: Self::DEFAULT_MAX_QUEUED_TOKENS,
            batch_tokens: Self::DEFAULT_BATCH_TOKENS,
            wait: None,
        };
        Self { classifiers: vec![classifier], workers: None, limits, before_batch: None }
    }

    /// Adds a classifier of the same model, such as one on another GPU. All of them take requests from the same queue.
    ///
    /// Classifiers that differ in device or precision give different bits; which one answers a request depends on which
    /// one is free.
    pub fn classifier(mut self, classifier: impl Into<Arc<Classifier>>) -> Self {
        self.classifiers.push(classifier.into());
        self
    }

    /// Sets the number of workers, which are threads, for each classifier. 0 means 1.
    ///
    /// By default, there is one per physical core if the classifier's calls use [one
    /// thread](crate::ClassifierBuilder::threads), which is the recommended setting for a service; one if they use
    /// more; and two for a GPU.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Sets the maximum number of tokens of waiting requests that are processed as one batch; by default
    /// [`DEFAULT_BATCH_TOKENS`](Self::DEFAULT_BATCH_TOKENS), which was chosen for CPUs. 0 means 1.
    ///
    /// A longer row forms a batch of its own.
    pub fn batch_tokens(mut self, tokens: usize) -> Self {
        self.limits.batch_tokens = tokens.max(1);
        self
    }

    /// Sets the maximum number of waiting requests; by default
    /// [`DEFAULT_MAX_QUEUED_REQUESTS`](Self::DEFAULT_MAX_QUEUED_REQUESTS). Further ones are refused with
    /// [`BatcherError::Overloaded`]. 0 means 1.
    pub fn max_queued_requests(mut self, requests: usize) -> Self {
        self.limits.requests = requests.max(1);
        self
    }

    /// Sets the maximum number of waiting tokens; by default
    /// [`DEFAULT_MAX_QUEUED_TOKENS`](Self::DEFAULT_MAX_QUEUED_TOKENS). Further requests are refused with
    /// [`BatcherError::Overloaded`], and a single request that is larger than this with [`BatcherError::TooLarge`]. 0
    /// means 1.
    pub fn max_queued_tokens(mut self, tokens: usize) -> Self {
        self.limits.tokens = tokens.max(1);
        self
    }

    /// Sets the longest time that a request is expected to wait before it is processed; by default there is no limit.
    ///
    /// The wait is estimated from the tokens in the queue and the pace of the workers so far. Requests that would wait
    /// longer are refused with [`BatcherError::Overloaded`], so that the others are answered in time under any load.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.limits.wait = Some(wait);
        self
    }

    // For tests: a panic of the hook counts as one of the engine.
    #[doc(hidden)]
    pub fn before_batch(mut self, hook: impl Fn(&TokenBatch) + Send + Sync + 'static) -> Self {
        self.before_batch = Some(Box::new(hook));
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// [`BatcherError::DifferentModels`] if the classifiers differ in configuration or labels,
    /// [`DeviceError::Threads`] if the system refuses a thread.
    pub fn build(self) -> Result<Batcher> {
        check_models(&self.classifiers)?;
        let shared = Arc::new(Shared {
            queue: super::sync::Arc::new(Queue::new(self.limits)),
            classifiers: self.classifiers,
            meters: Meters::default(),
            before_batch: self.before_batch,
        });
        let counts = shared.classifiers.iter().map(|classifier| {
            let count = self.workers.unwrap_or_else(|| default_workers(classifier));
            (classifier.clone(), count)
        });
        let mut handles = Vec::new();
        for (classifier, count) in counts {
            for _ in 0..count {
                let member = Queue::enter(&shared.queue);
                let (queue, classifier) = (shared.clone(), classifier.clone());
                let body = move || {
                    let _member = member;
                    work(&queue, &classifier);
                };
                let name = format!("batcher-{}", handles.len() + 1);
                match thread::Builder::new().name(name).spawn(body) {
                    Ok(handle) => handles.push(handle),
                    Err(error) => {
                        // Ends the workers that have been started.
                        shared.abort();
                        let reason = error.to_string();
                        return Err(DeviceError::Threads { threads: count, reason }.into());
                    }
                }
            }
        }
        let ids = handles.iter().map(|handle| handle.thread().id()).collect();
        let inner = Inner { shared, ids, workers: Mutex::new(handles) };
        Ok(Batcher { inner: PerProcess::new(inner), batch_tokens: self.limits.batch_tokens })
    }
}

/// Checks that all classifiers have the same model as the first.
fn check_models(classifiers: &[Arc<Classifier>]) -> Result<(), BatcherError> {
    for (index, classifier) in classifiers.iter().enumerate().skip(1) {
        let differs = |what| Err(BatcherError::DifferentModels { index, what });
        if classifier.labels() != classifiers[0].labels() {
            return differs("labels");
        }
        if classifier.config() != classifiers[0].config() {
            return differs("configuration");
        }
    }
    Ok(())
}

fn default_workers(classifier: &Classifier) -> usize {
    let info = classifier.info();
    match info.device {
        Device::Cpu if info.threads == 1 => Threads::default_count(),
        Device::Cpu => 1,
        Device::Cuda(_) | Device::Auto => 2,
    }
}
