//! Synchronization primitives of the team: the standard library's, or loom's where the protocol is model-checked.

#[cfg(loom)]
pub(super) use loom::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(loom))]
pub(super) use std::{
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

/// Iterations of a wait before it yields the core to other threads: some tens of microseconds.
#[cfg(not(loom))]
const SPINS: u32 = 10_000;

/// Waits briefly, at first without giving up the core. `spins` counts the waits so far.
#[cfg(not(loom))]
pub(super) fn back_off(spins: &mut u32) {
    *spins += 1;
    if *spins < SPINS {
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

/// Lets loom run another thread.
#[cfg(loom)]
pub(super) fn back_off(_: &mut u32) {
    thread::yield_now();
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
