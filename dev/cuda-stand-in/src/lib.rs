//! A stand-in for the NVIDIA driver's `libcuda.so`, for tests where there is no GPU: what the driver
//! would have the GPU do, the PTX machine does.
//!
//! It exports the entry points that cudarc's safe layer calls for devices, memory, streams, events,
//! modules and graphs, and no other: whoever calls for more than is modelled is told so when the symbol
//! is looked up.
//!
//! It is stricter than the driver, so that a mistake of the host shows always and not just sometimes.
//! An operation on a stream runs at the latest time that it may: when something waits for it. Streams
//! meet by events alone, the default stream's too. Memory has no values until something writes them.
//! Fresh pinned memory is full of `host::FRESH`.
//!
//! A kernel's fault is told on standard error, with the line of the PTX, before the host gets its code.

mod context;
mod device;
mod driver;
mod entry;
mod error;
mod graph;
mod handle;
mod host;
mod log;
mod memory;
mod module;
mod operation;
mod settings;
mod stream;
