//! [`within`]: the memory that an input may take.

use test_support::counting::limited;

/// Factor of an input's size in its budget.
const FACTOR: usize = 16;

/// Runs a function that may hold 16 bytes for each byte of its input, and `constant` bytes, on this thread. The process
/// aborts if it takes more; without [`Counting`](crate::Counting) as the global allocator, nothing is checked.
pub fn within<T>(input: usize, constant: usize, run: impl FnOnce() -> T) -> T {
    limited(FACTOR * input + constant, run)
}
