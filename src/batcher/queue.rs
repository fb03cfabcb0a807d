//! [`Queue`]: the bounded line of waiting requests, which workers take in batches.
//!
//! It knows nothing of models, so that its protocol can be model-checked (`models.rs`).

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::sync::{Arc, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};

/// A request in the queue. Its methods are called under the queue's lock.
pub(super) trait Entry {
    /// Returns the number of tokens that are left to compute.
    fn tokens(&self) -> usize;

    /// Chooses the part that the next batch computes: as much as fits into `room` tokens, but never nothing. Returns
    /// its number of tokens.
    fn claim(&mut self, room: usize) -> usize;

    /// Returns `true` if nobody wants the answer or its deadline has passed.
    fn is_stale(&self, now: Instant) -> bool;

    fn deadline(&self) -> Option<Instant>;
}

/// Limits of a queue and its batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Requests that may wait.
    pub requests: usize,
    /// Tokens that may wait.
    pub tokens: usize,
    /// Tokens of a batch. A larger part of one request is a batch of its own.
    pub batch_tokens: usize,
    /// Time that a request may be expected to wait.
    pub wait: Option<Duration>,
}

/// Reason why a request is not queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed,
    Full { requests: usize, tokens: usize, wait: Duration },
}

/// Requests and tokens that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Depth {
    pub requests: usize,
    pub tokens: usize,
}

/// Requests that a worker takes at once.
pub(super) struct Batch<T> {
    /// Requests to compute.
    pub taken: Vec<T>,
    /// Requests that nobody wants or whose deadline has passed.
    pub stale: Vec<T>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { taken: Vec::new(), stale: Vec::new() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// Takes no new requests; the waiting ones are computed.
    Draining,
    /// Takes nothing.
    Aborted,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Tokens of `waiting`.
    tokens: usize,
    /// No request in `waiting` has an earlier deadline.
    earliest: Option<Instant>,
    stage: Stage,
    /// Workers that sleep.
    idle: usize,
    /// Workers that have not ended.
    workers: usize,
}

pub(super) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    /// Something waits, or the stage has changed.
    ready: Condvar,
    /// A worker has ended.
    ended: Condvar,
    /// Upper bound on the requests whose receiver was dropped since the last sweep.
    dropped: Arc<AtomicUsize>,
    pace: Pace,
}

impl<T: Entry> Queue<T> {
    pub fn new(limits: Limits) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            tokens: 0,
            earliest: None,
            stage: Stage::Open,
            idle: 0,
            workers: 0,
        };
        Self {
            limits,
            state: Mutex::new(state),
            ready: Condvar::new(),
            ended: Condvar::new(),
            dropped: Arc::new(AtomicUsize::new(0)),
            pace: Pace::default(),
        }
    }

    /// Records that a worker has computed a batch.
    pub fn computed(&self, tokens: usize, time: Duration) {
        self.pace.record(tokens, time);
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the counter of dropped receivers, for [`slot`](super::slot::slot).
    pub fn dropped(&self) -> Arc<AtomicUsize> {
        self.dropped.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn depth(&self) -> Depth {
        let state = self.lock();
        Depth { requests: state.waiting.len(), tokens: state.tokens }
    }

    /// Checks that a request of one token would be queued, before the caller prepares it. Stale requests that were in
    /// its way are moved to `stale`.
    pub fn check(&self, stale: &mut Vec<T>) -> Result<(), Refusal> {
        self.admit(&mut self.lock(), 1, stale)
    }

    /// Queues a request, or gives it back if there is no room. Stale requests that were in its way are moved to
    /// `stale`.
    pub fn push(&self, entry: T, stale: &mut Vec<T>) -> Result<(), (T, Refusal)> {
        let mut state = self.lock();
        if let Err(refusal) = self.admit(&mut state, entry.tokens(), stale) {
            drop(state);
            return Err((entry, refusal));
        }
        self.append(&mut state, entry);
        Ok(())
    }

    /// Queues a request again after a part of it was computed, behind those that are waiting and regardless of the
    /// limits. Gives it back if the queue was aborted.
    pub fn put_back(&self, entry: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.stage == Stage::Aborted {
            drop(state);
            return Err(entry);
        }
        self.append(&mut state, entry);
        Ok(())
    }

    fn append(&self, state: &mut State<T>, entry: T) {
        state.tokens += entry.tokens();
        state.earliest = state.earliest.into_iter().chain(entry.deadline()).min();
        state.waiting.push_back(entry);
        if state.idle > 0 {
            self.ready.notify_one();
        }
    }

    fn admit(
        &self,
        state: &mut State<T>,
        tokens: usize,
        stale: &mut Vec<T>,
    ) -> Result<(), Refusal> {
        if state.stage != Stage::Open {
            return Err(Refusal::Closed);
        }
        let Limits { requests, tokens: most, wait, .. } = self.limits;
        let expected = |state: &State<T>| self.pace.wait(state.tokens, state.workers);
        let fits = |state: &State<T>| {
            state.waiting.len() < requests
                && state.tokens.saturating_add(tokens) <= most
                && wait.is_none_or(|wait| expected(state) <= wait)
        };
        if !fits(state) {
            self.sweep(state, stale);
        }
        if fits(state) {
            return Ok(());
        }
        let (requests, tokens, wait) = (state.waiting.len(), state.tokens, expected(state));
        Err(Refusal::Full { requests, tokens, wait })
    }

    /// Removes stale requests if there may be any: a full queue is not searched for each request that it refuses.
    fn sweep(&self, state: &mut State<T>, stale: &mut Vec<T>) {
        let now = Instant::now();
        let has_expired = state.earliest.is_some_and(|earliest| earliest <= now);
        if self.dropped.swap(0, Ordering::Acquire) == 0 && !has_expired {
            return;
        }
        let all = std::mem::take(&mut state.waiting);
        (state.tokens, state.earliest) = (0, None);
        for entry in all {
            if entry.is_stale(now) {
                stale.push(entry);
            } else {
                state.tokens += entry.tokens();
                state.earliest = state.earliest.into_iter().chain(entry.deadline()).min();
                state.waiting.push_back(entry);
            }
        }
    }

    /// Waits for requests and takes a batch of them, in their order. It never waits for further ones. Returns `false`
    /// if no more will come.
    pub fn take(&self, batch: &mut Batch<T>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.stage != Stage::Open {
                return false;
            }
            state.idle += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let (now, mut room) = (Instant::now(), self.limits.batch_tokens);
        while let Some(first) = state.waiting.front_mut() {
            let to = if first.is_stale(now) {
                &mut batch.stale
            } else {
                let claimed = first.claim(room);
                if claimed > room && !batch.taken.is_empty() {
                    break;
                }
                room = room.saturating_sub(claimed);
                &mut batch.taken
            };
            let Some(entry) = state.waiting.pop_front() else { break };
            state.tokens -= entry.tokens();
            to.push(entry);
        }
        // The wake-up of another worker may have come to this one.
        if !state.waiting.is_empty() && state.idle > 0 {
            self.ready.notify_one();
        }
        true
    }

    /// Takes no more requests: the waiting ones are computed, or returned if `aborts` is set.
    pub fn close(&self, aborts: bool) -> VecDeque<T> {
        let mut state = self.lock();
        let mut rest = VecDeque::new();
        if aborts {
            state.stage = Stage::Aborted;
            state.tokens = 0;
            rest = std::mem::take(&mut state.waiting);
        } else if state.stage == Stage::Open {
            state.stage = Stage::Draining;
        }
        drop(state);
        self.ready.notify_all();
        rest
    }

    /// Counts a worker until the result is dropped.
    pub fn enter(queue: &Arc<Self>) -> Membership<T> {
        queue.lock().workers += 1;
        Membership(queue.clone())
    }

    /// Waits until every worker has ended; returns `false` if the time passes first.
    pub fn wait_for_end(&self, until: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.workers > 0 {
            state = match until {
                None => self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

/// A worker that has not ended.
pub(super) struct Membership<T: Entry>(Arc<Queue<T>>);

impl<T: Entry> Drop for Membership<T> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.ended.notify_all();
    }
}
