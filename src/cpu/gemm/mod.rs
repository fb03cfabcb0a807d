//! Matrix products over packed weights.
//!
//! [`pack`] lays weights out in the order in which the microkernel reads them, [`block`] loops over a panel's
//! depth and tiles of rows, and [`microkernel`] computes one tile in registers.

pub(super) mod block;
pub(super) mod epilogue;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) mod microkernel;
pub(super) mod pack;
pub(super) mod rows;
pub(super) mod tile;
pub(super) mod weight;
