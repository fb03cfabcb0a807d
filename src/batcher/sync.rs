//! Synchronization primitives of the queue: the standard library's, or loom's where the protocol is model-checked.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(loom)]
pub(super) use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

/// Runs a caller's code, whose panic must not affect this thread's other work. Returns `false` if it panics.
pub(super) fn shielded(work: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => true,
        Err(payload) => {
            // Dropping it could panic again.
            std::mem::forget(payload);
            false
        }
    }
}
