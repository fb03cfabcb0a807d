//! [`Pool`]: memory that is reused from call to call.

use std::sync::{Mutex, MutexGuard, TryLockError};

/// Attempts to get the lock, which is held for a few nanoseconds. A thread that never gets it allocates memory of its
/// own: in a forked child, the lock may be held by a thread that does not exist there.
const ATTEMPTS: usize = 1000;

/// Idle memory for the calls that ran at the same time, up to a limit.
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    limit: usize,
}

impl<T: Default> Pool<T> {
    /// Creates a pool that keeps memory for `limit` calls at the same time. More may run, but their memory is freed
    /// afterwards.
    pub fn new(limit: usize) -> Self {
        Self { idle: Mutex::default(), limit }
    }

    /// Calls `work` with idle memory, or new memory if there is none. If `work` panics, its memory is not used again.
    ///
    /// Take the call's turn first, so that waiting calls hold no memory.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let idle = self.idle().and_then(|mut idle| idle.pop());
        let mut memory = idle.unwrap_or_default();
        let result = work(&mut memory);
        // Memory that is not kept is freed after the lock is released.
        let mut surplus = Some(memory);
        if let Some(mut idle) = self.idle()
            && idle.len() < self.limit
        {
            idle.extend(surplus.take());
        }
        result
    }

    fn idle(&self) -> Option<MutexGuard<'_, Vec<T>>> {
        for _ in 0..ATTEMPTS {
            match self.idle.try_lock() {
                Ok(idle) => return Some(idle),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    /// Returns the number of calls for which there is idle memory.
    #[cfg(all(test, not(loom)))]
    pub fn idle_count(&self) -> usize {
        self.idle().map_or(0, |idle| idle.len())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn memory_is_reused_up_to_the_limit() {
        let pool = Pool::<Vec<u8>>::new(2);
        pool.with(|memory| memory.push(7));
        pool.with(|first| {
            assert_eq!(first, &[7]);
            pool.with(|second| {
                assert!(second.is_empty());
                pool.with(|_| assert_eq!(pool.idle_count(), 0));
                assert_eq!(pool.idle_count(), 1);
            });
        });
        assert_eq!(pool.idle_count(), 2);
    }

    #[test]
    fn memory_of_a_panicking_call_is_not_reused() {
        let pool = Pool::<Vec<u8>>::new(1);
        let fail = || pool.with(|_| panic!("with memory"));
        assert!(catch_unwind(AssertUnwindSafe(fail)).is_err());
        assert_eq!(pool.idle_count(), 0);
    }

    #[test]
    fn a_lock_that_nobody_releases_blocks_no_call() {
        let pool = Pool::<Vec<u8>>::new(1);
        let _held = pool.idle.lock().unwrap();
        pool.with(|memory| memory.push(1));
    }
}
