//! [`Limited`]: an allocator that aborts when the bytes that an input takes exceed its budget.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Factor of an input's size in its budget.
const FACTOR: usize = 16;

/// System allocator that aborts the process if a thread exceeds the budget of an input.
pub struct Limited;

thread_local! {
    /// Bytes that this thread allocated and nobody freed, negative if it freed those of others.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// Value of `LIVE` above which the process aborts.
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// Runs a function that may hold 16 bytes for each byte of its input, and `constant` bytes, on this thread. Without
/// `Limited` as the global allocator, nothing is checked.
pub fn within<T>(input: usize, constant: usize, run: impl FnOnce() -> T) -> T {
    let budget = FACTOR * input + constant;
    LIMIT.set(LIVE.get() + budget as isize);
    let _restore = Restore;
    run()
}

/// Lifts the limit, also when a panic unwinds.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        LIMIT.set(isize::MAX);
    }
}

fn taken(size: usize) {
    // No allocation is larger than `isize::MAX`.
    let live = LIVE.get().saturating_add(size as isize);
    LIVE.set(live);
    if live > LIMIT.get() {
        let over = live - LIMIT.replace(isize::MAX);
        // An unwinding allocator would be undefined behavior.
        eprintln!("an allocation of {size} bytes exceeds the input's budget by {over} bytes");
        std::process::abort();
    }
}

fn returned(size: usize) {
    LIVE.set(LIVE.get() - size as isize);
}

// SAFETY: every call is forwarded to the system allocator unchanged.
unsafe impl GlobalAlloc for Limited {
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
