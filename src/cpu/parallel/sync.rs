//! Synchronization primitives of the team: the standard library's, or loom's where the protocol is model-checked.

use std::time::Duration;
#[cfg(not(loom))]
use std::{hint, time::Instant};

#[cfg(loom)]
pub(super) use loom::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(loom))]
pub(super) use std::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

/// Iterations of a spin loop between looks at the clock: between half a microsecond and two, since a pause takes 40
/// cycles on some processors and 140 on others.
#[cfg(not(loom))]
const SPINS: u32 = 32;

/// Time after which a wait for something that is about to happen yields the core between iterations: the thread that it
/// waits for may need the core.
#[cfg(not(loom))]
const PATIENCE: Duration = Duration::from_micros(50);

/// A wait for something that is about to happen, which does not give up the core at first.
#[derive(Default)]
pub(super) struct Backoff {
    #[cfg(not(loom))]
    spins: u32,
    #[cfg(not(loom))]
    start: Option<Instant>,
    #[cfg(not(loom))]
    yields: bool,
}

#[cfg(not(loom))]
impl Backoff {
    /// Waits briefly.
    pub fn wait(&mut self) {
        if self.yields {
            return thread::yield_now();
        }
        hint::spin_loop();
        self.spins += 1;
        if self.spins.is_multiple_of(SPINS) {
            self.yields = self.start.get_or_insert_with(Instant::now).elapsed() >= PATIENCE;
        }
    }

    /// Starts over, because the awaited event has happened.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(loom)]
impl Backoff {
    /// Lets loom run another thread.
    pub fn wait(&mut self) {
        thread::yield_now();
    }

    pub fn reset(&mut self) {}
}

/// Spins until `is_over` returns `true`, but not much longer than the limit. Returns `false` if the limit came first.
///
/// Other threads that want the core get it every microsecond.
#[cfg(not(loom))]
pub(super) fn spin_until(limit: Duration, is_over: impl Fn() -> bool) -> bool {
    if limit.is_zero() {
        return false;
    }
    let start = Instant::now();
    loop {
        for _ in 0..SPINS {
            if is_over() {
                return true;
            }
            hint::spin_loop();
        }
        if start.elapsed() >= limit {
            return false;
        }
        thread::yield_now();
    }
}

/// Lets loom run another thread once, unless the limit is zero.
#[cfg(loom)]
pub(super) fn spin_until(limit: Duration, is_over: impl Fn() -> bool) -> bool {
    if limit.is_zero() {
        return false;
    }
    thread::yield_now();
    is_over()
}

/// Stands for memory that is read by many threads and later freed by one. Under loom, a read that does not
/// happen before the end of that memory fails the model; otherwise it does nothing.
#[derive(Default)]
pub(super) struct Lifetime {
    #[cfg(loom)]
    cell: loom::cell::UnsafeCell<()>,
}

// SAFETY: the cell holds no data, and loom checks the accesses.
#[cfg(loom)]
unsafe impl Sync for Lifetime {}

impl Lifetime {
    pub fn read(&self) {
        #[cfg(loom)]
        self.cell.with(|_| ());
    }

    pub fn end(&self) {
        #[cfg(loom)]
        self.cell.with_mut(|_| ());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn spinning_ends_at_the_limit() {
        let limit = Duration::from_millis(2);
        let start = Instant::now();
        assert!(!spin_until(limit, || false));
        assert!(start.elapsed() >= limit);
    }

    #[test]
    fn spinning_ends_when_it_is_over() {
        let looks = Cell::new(0);
        let is_over = || looks.replace(looks.get() + 1) == 100;
        assert!(spin_until(Duration::MAX, is_over));
        assert!(!spin_until(Duration::ZERO, || unreachable!("no time to look")));
    }
}
