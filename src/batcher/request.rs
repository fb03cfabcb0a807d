//! [`Request`]: one text or row of token ids, from the queue to its answer.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::queue::Entry;
use super::slot::Reply;
use crate::classifier::Classifier;
use crate::error::{BatcherError, Result};
use crate::input::batch::TokenBatch;
use crate::input::cut::Cut;
use crate::prediction::Prediction;

/// Durations of the steps of one request, from [`Pending::timing`](super::Pending::timing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Tokenization, on the submitting thread.
    pub tokenization: Duration,
    /// From submission to the start of the computation.
    pub queue: Duration,
    /// From the start to the end of the computation, including everything else in the same batches, and the waits between the
    /// batches of a text that was split into windows.
    pub compute: Duration,
}

/// Answer to a request, with its timing if it was computed.
pub(super) type Answer = (Result<Prediction>, Timing);

/// The rows of a request, and what its prediction needs besides their logits.
pub(super) struct Input {
    /// At least one row that the model can take.
    pub rows: TokenBatch,
    /// Tokens of the text in each row, without special tokens.
    pub windows: Vec<Range<usize>>,
    pub cut: Option<Cut>,
    /// Tokens that the model reads, as [`Prediction::tokens`] counts them.
    pub tokens: usize,
}

pub(super) struct Request {
    input: Input,
    /// Rows whose logits are in `logits`.
    done: usize,
    /// Rows that the current batch computes.
    claimed: Range<usize>,
    logits: Vec<f32>,
    submitted: Instant,
    started: Option<Instant>,
    deadline: Option<Instant>,
    reply: Reply<Answer>,
}

impl Entry for Request {
    fn tokens(&self) -> usize {
        self.input.rows.tokens() - self.input.rows.cu_seqlens()[self.done]
    }

    fn claim(&mut self, room: usize) -> usize {
        let ends = &self.input.rows.cu_seqlens()[self.done..];
        let limit = ends[0].saturating_add(room);
        let rows = ends[1..].partition_point(|&end| end <= limit).max(1);
        self.claimed = self.done..self.done + rows;
        ends[rows] - ends[0]
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now) || !self.reply.is_wanted()
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Request {
    pub fn new(input: Input, deadline: Option<Instant>, reply: Reply<Answer>) -> Self {
        Self {
            input,
            done: 0,
            claimed: 0..0,
            logits: Vec::new(),
            submitted: Instant::now(),
            started: None,
            deadline,
            reply,
        }
    }

    /// Appends the claimed rows to a batch, and returns the time that the request has waited if these are its first.
    pub fn start(&mut self, batch: &mut TokenBatch, now: Instant) -> Option<Duration> {
        batch.append(&self.input.rows, self.claimed.clone());
        if self.started.is_some() {
            return None;
        }
        self.started = Some(now);
        Some(now.saturating_duration_since(self.submitted))
    }

    /// Returns the number of claimed rows.
    pub fn claimed(&self) -> usize {
        self.claimed.len()
    }

    /// Stores the logits of the claimed rows. Returns `true` if they were the last.
    pub fn store(&mut self, logits: &[f32]) -> bool {
        self.logits.extend_from_slice(logits);
        self.done = self.claimed.end;
        self.done == self.rows()
    }

    /// Appends all rows to a batch.
    pub fn append_all(&self, batch: &mut TokenBatch) {
        batch.append(&self.input.rows, 0..self.rows());
    }

    pub fn rows(&self) -> usize {
        self.input.rows.rows()
    }

    /// Replaces the logits of all rows.
    pub fn replace(&mut self, logits: &[f32]) {
        self.logits.clear();
        self.logits.extend_from_slice(logits);
    }

    /// Returns the prediction for the stored logits of all rows.
    pub fn prediction(&self, classifier: &Classifier) -> Prediction {
        let Input { windows, cut, tokens, .. } = &self.input;
        classifier.combine(&self.logits, windows, *cut).with_tokens(*tokens)
    }

    /// Sends the prediction.
    pub fn complete(self, prediction: Prediction) {
        let timing = self.timing();
        self.reply.send((Ok(prediction), timing));
    }

    /// Sends an error.
    pub fn fail(self, error: impl Into<crate::Error>) {
        let timing = self.timing();
        self.reply.send((Err(error.into()), timing));
    }

    /// Ends a request that is stale. Returns `true` if its deadline had passed while the answer was wanted.
    pub fn expire(self) -> bool {
        let is_wanted = self.reply.is_wanted();
        let waited = self.submitted.elapsed();
        self.fail(BatcherError::Expired { waited });
        is_wanted
    }

    fn timing(&self) -> Timing {
        let now = Instant::now();
        let started = self.started.unwrap_or(now);
        Timing {
            tokenization: Duration::ZERO,
            queue: started.saturating_duration_since(self.submitted),
            compute: now.saturating_duration_since(started),
        }
    }
}
