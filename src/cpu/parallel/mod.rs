//! Threads, and the disjoint access of their tasks to shared buffers.

mod crew;
pub(super) mod disjoint;
pub(super) mod team;
pub(super) mod threads;
