//! Handles of the driver's objects.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Handle, which the host sees as a pointer. Handles are never reused.
pub type Handle = usize;

/// Handle of the default stream, and of no context.
pub const NULL: Handle = 0;

pub fn new() -> Handle {
    /// First handle, far from the numbers that have a special meaning in the driver.
    static NEXT: AtomicUsize = AtomicUsize::new(0x5000_0000);
    NEXT.fetch_add(16, Relaxed)
}
