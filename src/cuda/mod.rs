//! The CUDA engine: the forward pass on an NVIDIA GPU, with the kernels of `kernels/`.
//!
//! # From a call to a kernel
//!
//! 1. [`Classifier::logits`](crate::Classifier::logits) checks the batch and calls
//!    [`Forward::forward`](crate::backend::Forward::forward).
//! 2. The [`engine`] cuts it into parts that fit a [`lane`](lane::Lane), and waits for an idle one: a stream
//!    with buffers of its own, so that several callers compute at once.
//! 3. The lane rounds the part up to a [`Shape`](shape::Shape) and replays the graph of that shape, which it
//!    captures when it first needs it: one call of the driver for the whole pass.
//! 4. [`Pass`](pass::Pass) is what is captured: the architecture, one launch after another.
//! 5. [`Kernels`](kernels::Kernels) are the compiled functions, from the PTX in `kernels/ptx`.
//!
//! The [`weights`] lie on the device in the order of the checkpoint, and all lanes read them.
//!
//! Streams are ordered by hand: nothing is shared by lanes but the weights, which are on the device before
//! the first lane is made, and a call waits for its stream before it returns.

mod driver;
mod engine;
mod kernels;
mod lane;
mod memory;
mod pass;
mod shape;
mod weights;

pub(crate) use self::driver::devices;
pub(crate) use self::engine::load;
