//! CUDA backend: the forward pass on an NVIDIA GPU, with the kernels in `kernels/`.
//!
//! # From a call to a kernel
//!
//! 1. [`Classifier::logits`](crate::Classifier::logits) checks the batch and calls
//!    [`Forward::forward`](crate::backend::Forward::forward).
//! 2. The [`engine`] splits it into sub-batches and takes an
//!    [`ExecutionContext`](context::ExecutionContext) from its pool: a stream with its own buffers, so that
//!    several callers compute at the same time.
//! 3. The context copies the [`input`] to the device, rounds its size up to a [`Shape`](shape::Shape), and
//!    replays the graph of that shape: one driver call for the whole pass. A [`graph`] is captured on first
//!    use.
//! 4. [`ForwardPass`](forward::ForwardPass) is what a capture records: the architecture, launch by launch.
//!    It is generic over the weight [`format`](mod@format), f16 or int8.
//! 5. [`kernels`] has a parameter struct for each kernel, which is checked at every launch.
//!
//! # Memory safety
//!
//! A [`DeviceSlice`](memory::DeviceSlice) borrows the buffer that it is part of and knows its length, and
//! every launch checks all slices against the sizes that its kernel uses. Indices that kernels read from
//! memory carry the bound that was checked before they were copied there
//! ([`Indices`](kernels::parameters::Indices)). A captured graph outlives the borrows it was recorded with,
//! so [`capture`](graph::capture) is unsafe; its only caller, the execution context, owns the memory
//! together with the graphs.
//!
//! # Streams
//!
//! Streams need no events: execution contexts share nothing but the weights, which are on the device before
//! the first context is created, and every call waits for its stream before it returns.

mod activations;
mod context;
mod driver;
mod engine;
mod format;
mod forward;
mod graph;
mod input;
mod kernels;
mod memory;
mod shape;
mod weights;

pub(crate) use self::driver::devices;
pub(crate) use self::engine::load;
