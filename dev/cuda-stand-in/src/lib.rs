//! A stand-in for the NVIDIA driver's `libcuda.so`, for tests without a GPU. The PTX machine does the work of the GPU.
//!
//! It exports only the entry points that cudarc's safe layer calls for devices, memory, streams, events, modules and
//! graphs; the lookup of any other symbol fails.
//!
//! It is stricter than the driver, so that errors of the host code always show. An operation on a stream runs as late as
//! possible: when something waits for it. So does a copy from pageable memory, which the driver may read at any time
//! until then. Only events synchronize streams, including the default stream. Memory is
//! uninitialized until it is written. Fresh pinned memory is filled with `host::FRESH`.
//!
//! `standInFail` lets a test choose calls that fail.
//!
//! A fault in a kernel is reported on standard error, with the line of the PTX, before the host gets its error code.

mod context;
mod device;
mod driver;
mod entry;
mod error;
mod failure;
mod graph;
mod handle;
mod host;
mod log;
mod memory;
mod module;
mod operation;
mod settings;
mod stream;
