//! A machine that runs PTX in software, for tests of CUDA kernels without a GPU.
//!
//! It runs the output of NVRTC, lane by lane, and is stricter than hardware: code that works only by chance is an error. It
//! checks bounds and alignment of every access, that every byte read was written, that conflicting accesses to a byte are
//! separated by a barrier, and that copies were waited for. It also counts events that cost time.
//!
//! It doesn't model time, caches, the weak ordering of writes to global memory, the errors of approximations, or the
//! summation order of tensor cores.

#![allow(missing_docs, reason = "for tests only")]

mod access;
mod arithmetic;
pub mod convert;
mod copies;
mod counts;
pub mod decode;
mod error;
pub mod exchange;
mod global;
pub mod instruction;
mod launch;
mod ptx;
pub mod shared;
pub mod tensor;
#[cfg(test)]
mod tests;
pub mod text;
pub mod types;
mod warp;

pub use counts::Counts;
pub use error::{Defect, Error, Fault, LaunchDefect, MemorySpace, Place, Use};
pub use global::Memory;
pub use launch::{Argument, Launch};
pub use ptx::{Kernel, Module, Parameter};
