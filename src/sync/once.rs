//! [`OnceBox`]: a value that is made once and never waited for.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that is set once. Unlike with a `OnceLock`, nobody waits for a thread that is about to set it; a forked
/// child would wait forever.
pub(crate) struct OnceBox<T> {
    value: AtomicPtr<T>,
    owned: PhantomData<T>,
}

impl<T: Send + Sync> OnceBox<T> {
    pub fn new() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), owned: PhantomData }
    }

    pub fn get(&self) -> Option<&T> {
        // SAFETY: the pointer is null or came from a box, which is freed only when `self` is dropped.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value unless there is one, and returns the one that stays.
    pub fn get_or_set(&self, value: T) -> &T {
        let made = Box::into_raw(Box::new(value));
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match self.value.compare_exchange(ptr::null_mut(), made, success, failure) {
            // SAFETY: as in `get`.
            Ok(_) => unsafe { &*made },
            Err(other) => {
                // SAFETY: `made` came from a box and nobody else has seen it; `other` as in `get`.
                unsafe {
                    drop(Box::from_raw(made));
                    &*other
                }
            }
        }
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: the pointer came from a box, nothing borrows it anymore, and it is not used again.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_first_value_stays() {
        let (first, second) = (Arc::new(1), Arc::new(2));
        let cell = OnceBox::new();
        assert!(cell.get().is_none());
        assert_eq!(**cell.get_or_set(first.clone()), 1);
        assert_eq!(**cell.get_or_set(second.clone()), 1);
        assert_eq!(cell.get().map(|value| **value), Some(1));
        drop(cell);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
    }
}
