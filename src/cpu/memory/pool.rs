//! [`Pool`]: memory that is reused from call to call.

use std::sync::{Mutex, PoisonError};

/// Idle memory, one for each call that ran at the same time as others.
#[derive(Default)]
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
}

impl<T: Default> Pool<T> {
    /// Returns idle memory, or new memory if there is none.
    pub fn take(&self) -> T {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Makes memory available to later calls.
    pub fn give_back(&self, memory: T) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}
