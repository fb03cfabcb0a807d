//! A machine that runs PTX in software, for tests of CUDA kernels where there is no GPU.
//!
//! It runs what NVRTC makes of the kernels here, lane by lane, and is stricter than the hardware: what
//! works there by chance is an error here. Every access is checked for bounds and alignment, every byte
//! that is read must have been written, two uses of a byte that no barrier parts must not conflict, and
//! copies must have been waited for. It also counts what costs time.
//!
//! What it does not model: time, caches, the weakness of the order in which global memory is written,
//! the error of approximations, and the order in which tensor cores sum.

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
