//! [`Turns`]: a fair queue for something that only a few callers may use at a time.

#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering};
#[cfg(loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};
use std::array;
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// Condition variables over which waiting callers are spread, so that the end of a turn wakes few of them.
const BELLS: usize = if cfg!(loom) { 2 } else { 16 };

/// Turns that callers take in the order in which they arrive. Whoever finds one free takes it with one atomic
/// operation; others sleep. Nothing is allocated.
///
/// A mutex would let the caller whose turn ends take the next one before a sleeping caller has woken up.
pub(crate) struct Turns {
    permits: usize,
    /// Callers that have a turn or wait for one.
    line: AtomicUsize,
    queue: Mutex<Queue>,
    bells: [Condvar; BELLS],
}

/// Tickets of the callers that found no free turn.
#[derive(Default)]
struct Queue {
    /// Number of tickets that have been drawn.
    drawn: u64,
    /// Number of tickets that have been called, possibly before they were drawn.
    called: u64,
}

impl Turns {
    /// Creates turns for `permits` callers at a time, at least one.
    pub fn new(permits: usize) -> Self {
        Self {
            permits,
            line: AtomicUsize::new(0),
            queue: Mutex::new(Queue::default()),
            bells: array::from_fn(|_| Condvar::new()),
        }
    }

    /// Waits for this caller's turn, which ends when the result is dropped.
    pub fn take(&self) -> Turn<'_> {
        if self.line.fetch_add(1, Ordering::Acquire) >= self.permits {
            self.wait();
        }
        Turn(self)
    }

    /// Takes a turn if one is free.
    #[cfg(any(feature = "text", test))]
    pub fn try_take(&self) -> Option<Turn<'_>> {
        let one_more = |line| (line < self.permits).then_some(line + 1);
        let taken = self.line.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Turn(self))
    }

    /// Waits until a turn is passed on to this caller.
    #[cold]
    fn wait(&self) {
        let mut queue = self.queue();
        let ticket = queue.drawn;
        queue.drawn += 1;
        while queue.called <= ticket {
            queue = self.bell(ticket).wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Passes a turn on to the next caller in line.
    #[cold]
    fn call(&self) {
        let mut queue = self.queue();
        let ticket = queue.called;
        queue.called += 1;
        drop(queue);
        self.bell(ticket).notify_all();
    }

    fn bell(&self, ticket: u64) -> &Condvar {
        &self.bells[(ticket % BELLS as u64) as usize]
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of callers that sleep.
    #[cfg(all(test, not(loom)))]
    pub fn waiting(&self) -> u64 {
        let queue = self.queue();
        queue.drawn.saturating_sub(queue.called)
    }
}

/// A caller's turn, which is passed on to the next caller when this is dropped.
#[must_use]
pub(crate) struct Turn<'a>(&'a Turns);

impl Turn<'_> {
    /// Ends this turn and gives up its permit for good: from now on, one caller fewer has a turn at a time.
    #[cfg(any(feature = "cuda", test))]
    pub fn retire(self) {
        // The caller stays in the line without ever leaving it.
        std::mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Each caller that comes while all turns are taken waits, and each turn that ends while callers wait is passed
        // on, so there are as many calls as waits.
        if self.0.line.fetch_sub(1, Ordering::Release) > self.0.permits {
            self.0.call();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Waits until a number of callers sleep.
    fn until_waiting(turns: &Turns, count: u64) {
        while turns.waiting() < count {
            thread::sleep(Duration::from_micros(100));
        }
    }

    #[test]
    fn callers_are_served_in_their_order() {
        let (turns, order) = (Turns::new(1), Mutex::new(Vec::new()));
        // More than there are bells.
        let callers = BELLS as u64 + 5;
        thread::scope(|scope| {
            let first = turns.take();
            for caller in 0..callers {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take();
                    order.lock().unwrap().push(caller);
                });
                until_waiting(turns, caller + 1);
            }
            drop(first);
        });
        assert!(order.into_inner().unwrap().into_iter().eq(0..callers));
    }

    /// A caller that comes back at once must not overtake those that wait.
    #[test]
    fn a_caller_that_returns_goes_to_the_end_of_the_line() {
        let (turns, order) = (Turns::new(1), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let turn = turns.take();
            for caller in 0..3 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take();
                    order.lock().unwrap().push(caller);
                    thread::sleep(Duration::from_millis(1));
                });
                until_waiting(turns, caller + 1);
            }
            drop(turn);
            let _turn = turns.take();
            order.lock().unwrap().push(9);
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 9]);
    }

    #[test]
    fn no_more_callers_than_permits_have_a_turn() {
        for permits in 1..=3 {
            let (turns, inside) = (Turns::new(permits), AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            let _turn = turns.take();
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < permits);
                            thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    });
                }
            });
            assert_eq!(turns.line.into_inner(), 0);
        }
    }

    #[test]
    fn a_retired_permit_never_returns() {
        let turns = Turns::new(2);
        turns.take().retire();
        let turn = turns.take();
        thread::scope(|scope| {
            scope.spawn(|| drop(turns.take()));
            until_waiting(&turns, 1);
            drop(turn);
        });
    }

    #[test]
    fn a_caller_that_does_not_wait_leaves_the_line_alone() {
        let turns = Turns::new(2);
        let (first, second) = (turns.take(), turns.try_take());
        assert!(second.is_some());
        assert!(turns.try_take().is_none());
        drop(first);
        let third = turns.try_take();
        assert!(third.is_some());
        drop((second, third));
        assert_eq!(turns.line.into_inner(), 0);
    }

    #[test]
    fn a_turn_that_ends_by_a_panic_is_passed_on() {
        let turns = Turns::new(1);
        for _ in 0..3 {
            let fail = || {
                let _turn = turns.take();
                panic!("in its turn");
            };
            assert!(catch_unwind(AssertUnwindSafe(fail)).is_err());
        }
        drop(turns.take());
    }
}
