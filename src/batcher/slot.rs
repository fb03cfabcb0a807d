//! The answer to one request, on its way from the thread that computes it to the one that waits for it.
//!
//! A [`Reply`] answers at most once: sending consumes it, and dropping it unsent means that there will be no answer. A
//! [`Receiver`] takes the answer at most once; dropping it means that none is wanted.

use std::mem::replace;
use std::sync::PoisonError;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::sync::{Arc, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, shielded};
use crate::sync::Process;

/// Creates the two ends. A receiver that is dropped before its answer comes is counted in `dropped`.
pub(super) fn slot<R>(dropped: Arc<AtomicUsize>) -> (Reply<R>, Receiver<R>) {
    let state = Mutex::new(State::Open(None));
    let slot = Arc::new(Slot { state, answered: Condvar::new(), dropped });
    (Reply(slot.clone()), Receiver { slot, process: Process::current() })
}

struct Slot<R> {
    state: Mutex<State<R>>,
    answered: Condvar,
    dropped: Arc<AtomicUsize>,
}

enum State<R> {
    /// The answer is awaited, by a task if there is a waker.
    Open(Option<Waker>),
    /// The answer is here; `None` if the reply was dropped.
    Answered(Option<R>),
    /// The answer was taken or is not wanted.
    Closed,
}

/// Result of checking the slot for an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome<R> {
    Answer(R),
    /// The reply was dropped.
    Abandoned,
    /// The answer was already taken.
    Taken,
    /// The answer belongs to another process.
    Forked,
}

/// The end that answers.
pub(super) struct Reply<R>(Arc<Slot<R>>);

/// The end that waits.
pub(super) struct Receiver<R> {
    slot: Arc<Slot<R>>,
    process: Process,
}

impl<R> Slot<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the answer if it is awaited. Callers' code (a waker, the drop of an unwanted answer) runs after the lock is
    /// released.
    fn answer(&self, answer: Option<R>) {
        let mut state = self.lock();
        let State::Open(waker) = &mut *state else {
            drop(state);
            return;
        };
        let waker = waker.take();
        *state = State::Answered(answer);
        drop(state);
        self.answered.notify_all();
        if let Some(waker) = waker {
            shielded(|| waker.wake());
        }
    }
}

impl<R> Reply<R> {
    /// Returns `true` unless the receiver was dropped.
    pub fn is_wanted(&self) -> bool {
        matches!(*self.0.lock(), State::Open(_))
    }

    pub fn send(self, answer: R) {
        self.0.answer(Some(answer));
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        self.0.answer(None);
    }
}

impl<R> Receiver<R> {
    /// Takes the answer, or has `waker` called when it comes.
    pub fn poll(&mut self, waker: &Waker) -> Poll<Outcome<R>> {
        if !self.process.is_current() {
            return Poll::Ready(Outcome::Forked);
        }
        // Callers' code, which must not run under the lock.
        let waker = waker.clone();
        let mut state = self.slot.lock();
        match replace(&mut *state, State::Closed) {
            State::Open(before) => {
                *state = State::Open(Some(waker));
                drop(state);
                drop(before);
                Poll::Pending
            }
            State::Answered(Some(answer)) => Poll::Ready(Outcome::Answer(answer)),
            State::Answered(None) => Poll::Ready(Outcome::Abandoned),
            State::Closed => Poll::Ready(Outcome::Taken),
        }
    }

    /// Waits for the answer and takes it; returns `None` if the time passes first.
    pub fn wait(&mut self, until: Option<Instant>) -> Option<Outcome<R>> {
        if !self.process.is_current() {
            return Some(Outcome::Forked);
        }
        let mut state = self.slot.lock();
        while matches!(*state, State::Open(_)) {
            let answered = &self.slot.answered;
            state = match until {
                None => answered.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    answered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Some(match replace(&mut *state, State::Closed) {
            State::Answered(Some(answer)) => Outcome::Answer(answer),
            State::Answered(None) => Outcome::Abandoned,
            State::Open(_) | State::Closed => Outcome::Taken,
        })
    }

    /// Returns `true` if [`poll`](Self::poll) would not be pending.
    pub fn is_ready(&self) -> bool {
        !self.process.is_current() || !matches!(*self.slot.lock(), State::Open(_))
    }

    /// Gives up the answer.
    pub fn close(&mut self) {
        // In a forked child, a thread that does not exist may hold the lock.
        if !self.process.is_current() {
            return;
        }
        let before = replace(&mut *self.slot.lock(), State::Closed);
        if matches!(before, State::Open(_)) {
            self.slot.dropped.fetch_add(1, Ordering::Release);
        }
    }
}

impl<R> Drop for Receiver<R> {
    fn drop(&mut self) {
        self.close();
    }
}
