//! A counting allocator, for tests of allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// System allocator that counts.
pub struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Bytes that this thread allocated and nobody freed, negative if it freed those of others.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// Value of `LIVE` above which the process aborts.
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// Returns the peak number of bytes that this thread allocated while `run` ran, beyond those allocated before; tests on
/// other threads don't count. Requires [`Counting`] as the global allocator.
pub fn peak(run: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    run();
    usize::try_from(PEAK.get() - before).unwrap_or_default()
}

/// Runs a function that may hold `limit` bytes at most on this thread, beyond those allocated before. The process aborts
/// if it takes more. Requires [`Counting`] as the global allocator.
pub fn limited<T>(limit: usize, run: impl FnOnce() -> T) -> T {
    /// Lifts the limit, also when a panic unwinds.
    struct Lift;

    impl Drop for Lift {
        fn drop(&mut self) {
            LIMIT.set(isize::MAX);
        }
    }

    LIMIT.set(LIVE.get() + limit as isize);
    let _lift = Lift;
    run()
}

fn taken(size: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    // No allocation is larger than `isize::MAX`.
    let live = LIVE.get().saturating_add(size as isize);
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
    if live > LIMIT.get() {
        let over = live - LIMIT.replace(isize::MAX);
        // An unwinding allocator would be undefined behavior.
        eprintln!("an allocation of {size} bytes exceeds the limit by {over} bytes");
        std::process::abort();
    }
}

fn returned(size: usize) {
    LIVE.set(LIVE.get() - size as isize);
}

/// Returns the number of allocations by all threads so far. Requires [`Counting`] as the global allocator.
pub fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}

// SAFETY: every call is forwarded to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        returned(layout.size());
        taken(size);
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        returned(layout.size());
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}
