//! The threads that compute requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc as StdArc;
use std::time::Instant;

use super::queue::{Batch, Queue, Refusal};
use super::request::Request;
use super::statistics::Meters;
use super::sync::{Arc, shielded};
use crate::backend::Forward;
use crate::classifier::Classifier;
use crate::error::{BatcherError, Error, Result};
use crate::input::batch::TokenBatch;
use crate::prediction::Prediction;

/// Function that is called with each batch before it is computed.
pub(super) type Hook = Box<dyn Fn(&TokenBatch) + Send + Sync>;

/// State that submitting threads and workers share.
pub(super) struct Shared {
    pub queue: Arc<Queue<Request>>,
    /// At least one.
    pub classifiers: Vec<StdArc<Classifier>>,
    pub meters: Meters,
    pub before_batch: Option<Hook>,
}

impl Shared {
    /// Checks that the queue takes requests, before the caller prepares one.
    pub fn check(&self) -> Result<(), BatcherError> {
        let mut stale = Vec::new();
        let result = self.queue.check(&mut stale);
        self.discard(stale);
        result.map_err(|refusal| self.refused(refusal))
    }

    /// Queues a request.
    pub fn push(&self, request: Request) -> Result<(), BatcherError> {
        let mut stale = Vec::new();
        let result = self.queue.push(request, &mut stale);
        self.discard(stale);
        match result {
            Ok(()) => {
                self.meters.accepted.add(1);
                Ok(())
            }
            Err((_, refusal)) => Err(self.refused(refusal)),
        }
    }

    fn refused(&self, refusal: Refusal) -> BatcherError {
        match refusal {
            Refusal::Closed => BatcherError::ShutDown,
            Refusal::Full { requests, tokens, wait } => {
                self.meters.overloaded.add(1);
                let limits = self.queue.limits();
                BatcherError::Overloaded {
                    requests,
                    max_requests: limits.requests,
                    tokens,
                    max_tokens: limits.tokens,
                    expected_wait: wait,
                }
            }
        }
    }

    /// Ends stale requests.
    fn discard(&self, stale: impl IntoIterator<Item = Request>) {
        for request in stale {
            let counter = match request.expire() {
                true => &self.meters.expired,
                false => &self.meters.canceled,
            };
            counter.add(1);
        }
    }

    /// Fails all waiting requests, and accepts no more.
    pub fn abort(&self) {
        for request in self.queue.close(true) {
            request.fail(BatcherError::ShutDown);
        }
    }
}

/// Computes batches until the queue is closed.
pub(super) fn work(shared: &Shared, classifier: &Classifier) {
    // If the worker panics, the requests that it holds fail as they are dropped, and the thread continues with others.
    while !shielded(|| Worker::new(shared, classifier).run()) {
        shared.meters.panics.add(1);
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    classifier: &'a Classifier,
    tokens: TokenBatch,
    logits: Vec<f32>,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared, classifier: &'a Classifier) -> Self {
        Self { shared, classifier, tokens: TokenBatch::default(), logits: Vec::new() }
    }

    fn run(&mut self) {
        let mut batch = Batch::default();
        while self.shared.queue.take(&mut batch) {
            self.shared.discard(batch.stale.drain(..));
            self.compute(&mut batch.taken);
        }
    }

    /// Computes the claimed rows of requests, and empties the list. If a batch of several fails, each is computed
    /// alone, so that only those at fault fail.
    fn compute(&mut self, requests: &mut Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        match self.forward(requests) {
            Ok(()) => self.finish(requests),
            Err(error) if requests.len() == 1 => {
                if let Some(request) = requests.pop() {
                    self.shared.meters.failed.add(1);
                    request.fail(error);
                }
            }
            Err(_) => {
                for request in requests.drain(..) {
                    self.compute(&mut vec![request]);
                }
            }
        }
    }

    /// Computes the logits of the claimed rows.
    fn forward(&mut self, requests: &mut [Request]) -> Result<()> {
        let start = Instant::now();
        self.tokens.clear();
        for request in requests.iter_mut() {
            if let Some(waited) = request.start(&mut self.tokens, start) {
                self.shared.meters.queued_for(waited);
            }
        }
        self.compute_rows(self.classifier.first_engine())?;
        let (tokens, time) = (self.tokens.tokens(), start.elapsed());
        self.shared.queue.computed(tokens, time);
        self.shared.meters.computed(requests.len(), tokens, time);
        Ok(())
    }

    /// Computes the logits of the collected rows with an engine of the classifier.
    fn compute_rows(&mut self, engine: &dyn Forward) -> Result<()> {
        let Self { shared, classifier, tokens, logits } = self;
        let forward = || {
            if let Some(hook) = &shared.before_batch {
                hook(tokens);
            }
            classifier.compute(engine, tokens, logits)
        };
        // The logits are replaced by the next call, and the classifier itself survives panics.
        catch_unwind(AssertUnwindSafe(forward)).unwrap_or_else(|payload| {
            shared.meters.panics.add(1);
            let reason = message(payload.as_ref());
            // Dropping it could panic again.
            std::mem::forget(payload);
            Err(Error::from(BatcherError::Panicked { reason }))
        })
    }

    /// Answers the requests whose last rows have been computed, and queues the others again.
    fn finish(&mut self, requests: &mut Vec<Request>) {
        let labels = self.classifier.labels().len();
        let mut logits = self.logits.as_slice();
        let mut undecided = Vec::new();
        for mut request in requests.drain(..) {
            let (own, rest) = logits.split_at(request.claimed() * labels);
            logits = rest;
            if !request.store(own) {
                if let Err(request) = self.shared.queue.put_back(request) {
                    request.fail(BatcherError::ShutDown);
                }
                continue;
            }
            let prediction = request.prediction(self.classifier);
            let decided = match self.classifier.stages() {
                None => Some(prediction),
                Some(stages) => stages.accept(prediction),
            };
            match decided {
                Some(prediction) => self.complete(request, prediction),
                None => undecided.push(request),
            }
        }
        self.decide(undecided);
    }

    /// Computes requests again with the last stage of a cascade, and answers them.
    fn decide(&mut self, mut requests: Vec<Request>) {
        let classifier = self.classifier;
        let Some(stages) = classifier.stages().filter(|_| !requests.is_empty()) else { return };
        self.tokens.clear();
        requests.iter().for_each(|request| request.append_all(&mut self.tokens));
        match self.compute_rows(stages.second) {
            Ok(()) => {
                let mut logits = self.logits.as_slice();
                for mut request in requests {
                    let (own, rest) = logits.split_at(request.rows() * classifier.labels().len());
                    logits = rest;
                    request.replace(own);
                    let prediction = request.prediction(classifier);
                    self.complete(request, prediction);
                }
            }
            Err(_) if requests.len() > 1 => {
                requests.into_iter().for_each(|request| self.decide(vec![request]));
            }
            Err(error) => {
                if let Some(request) = requests.pop() {
                    self.shared.meters.failed.add(1);
                    request.fail(error);
                }
            }
        }
    }

    fn complete(&self, request: Request, prediction: Prediction) {
        self.shared.meters.completed.add(1);
        request.complete(prediction);
    }
}

/// Returns the message of a panic.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
