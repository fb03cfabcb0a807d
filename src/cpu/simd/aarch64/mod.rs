//! Instruction sets of aarch64.

mod bfmmla;
mod dotprod;
mod i8mm;
mod neon;
mod squares;

pub(super) use self::dotprod::Dotprod;
pub(super) use self::i8mm::I8mm;
pub(super) use self::neon::{Neon, Widening};
