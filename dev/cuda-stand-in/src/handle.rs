//! What the host names the driver's objects by.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The host sees it as a pointer. No two objects have the same one, not even one after the other.
pub type Handle = usize;

/// The default stream's, and that of no context.
pub const NULL: Handle = 0;

pub fn new() -> Handle {
    /// Far from the numbers that the driver gives a meaning of their own.
    static NEXT: AtomicUsize = AtomicUsize::new(0x5000_0000);
    NEXT.fetch_add(16, Relaxed)
}
