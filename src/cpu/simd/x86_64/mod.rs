//! Instruction sets of x86-64.

mod amx;
pub(super) mod avx2;
pub(super) mod avx512;
mod avx512bf16;
mod avxvnni;
mod registers;
mod tiles;

pub(super) use self::amx::Amx;
pub(super) use self::avx2::Avx2;
pub(super) use self::avx512::{Avx512, Vnni};
pub(super) use self::avxvnni::AvxVnni;
