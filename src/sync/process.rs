//! [`Process`] and [`PerProcess`]: values that a forked child must not touch.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A process. As long as its parent lives, a child has a different number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub fn current() -> Self {
        // Only Unix systems fork. Miri's isolation and loom's models have one process.
        Self(if cfg!(all(unix, not(miri), not(loom))) { std::process::id() } else { 0 })
    }

    pub fn is_current(self) -> bool {
        self == Self::current()
    }
}

/// A value of one process, such as a lock or a handle of threads.
///
/// In a child made by `fork`, a lock may be held by a thread that does not exist there, and other threads will never
/// answer. The child therefore neither uses nor drops its parent's value, but makes one of its own where it needs one.
pub(crate) struct PerProcess<T> {
    /// Replaced only in a child, by the child's own.
    instance: AtomicPtr<Instance<T>>,
    value: PhantomData<T>,
}

struct Instance<T> {
    process: Process,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub fn new(value: T) -> Self {
        let instance = Box::new(Instance { process: Process::current(), value });
        Self { instance: AtomicPtr::new(Box::into_raw(instance)), value: PhantomData }
    }

    /// Returns this process's value, or `None` if only its parent has one.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: the pointer came from a box, which is freed only when `self` is dropped.
        let instance = unsafe { &*self.instance.load(Ordering::Acquire) };
        instance.process.is_current().then_some(&instance.value)
    }

    /// Returns this process's value, and makes it if only the parent has one.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        let inherited = self.instance.load(Ordering::Acquire);
        // SAFETY: as in `get`.
        let instance = unsafe { &*inherited };
        let process = Process::current();
        if instance.process == process {
            return &instance.value;
        }
        let made = Box::into_raw(Box::new(Instance { process, value: make() }));
        let (acquire, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match self.instance.compare_exchange(inherited, made, acquire, failure) {
            // The parent's value stays as it is, since dropping it could wait for the parent's threads.
            // SAFETY: as in `get`.
            Ok(_) => unsafe { &(*made).value },
            Err(other) => {
                // SAFETY: `made` came from a box and nobody else has seen it; `other` as in `get`.
                unsafe {
                    drop(Box::from_raw(made));
                    &(*other).value
                }
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let instance = std::mem::replace(self.instance.get_mut(), ptr::null_mut());
        // SAFETY: the pointer came from a box and nothing borrows it anymore.
        let is_own = unsafe { (*instance).process }.is_current();
        if is_own {
            // SAFETY: as above, and it is not used again.
            drop(unsafe { Box::from_raw(instance) });
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_process_keeps_its_value() {
        let value = PerProcess::new(Arc::new(7));
        assert_eq!(value.get().map(|value| **value), Some(7));
        let kept = Arc::clone(value.get_or_make(|| unreachable!("there is one")));
        drop(value);
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    /// Pretends that the value was made by another process.
    #[test]
    #[cfg_attr(miri, ignore = "the parent's value stays in memory")]
    fn a_child_leaves_its_parents_value_alone_and_makes_its_own() {
        let (of_parent, of_child) = (Arc::new(1), Arc::new(2));
        let mut value = PerProcess::new(of_parent.clone());
        // SAFETY: the pointer came from a box, and nothing else borrows it.
        unsafe { (**value.instance.get_mut()).process = Process(u32::MAX) };
        assert!(value.get().is_none());
        assert_eq!(**value.get_or_make(|| of_child.clone()), 2);
        assert_eq!(value.get().map(|value| **value), Some(2));
        drop(value);
        assert_eq!((Arc::strong_count(&of_parent), Arc::strong_count(&of_child)), (2, 1));
    }
}
