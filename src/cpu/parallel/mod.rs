//! Threads, and the disjoint access of their tasks to shared buffers.

mod crew;
pub(super) mod disjoint;
#[cfg(all(test, loom))]
mod models;
mod sync;
pub(super) mod team;
pub(super) mod threads;
pub(super) mod tiles;
