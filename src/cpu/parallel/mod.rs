//! The thread team: `threads` chooses where a call's threads come from, `crew` owns threads that wait for calls,
//! `team` shares out the tasks of one call, and `disjoint` and `tiles` split the buffers that tasks write.

mod crew;
pub(super) mod disjoint;
#[cfg(all(test, loom))]
mod models;
mod shared_pool;
mod sync;
pub(super) mod team;
pub(super) mod threads;
pub(super) mod tiles;
