//! Buffers: aligned, in large pages, and reused from call to call.

pub(super) mod aligned;
pub(super) mod pages;
pub(super) mod pool;
