//! Tests that `tests/isa/run.py` runs on emulated CPUs besides those of the kernels: the choice of the instruction set,
//! single instructions, logits shared by all instruction sets, and a text. They also run on any real machine.

mod battery;
mod choice;
mod goldens;
#[cfg(feature = "text")]
mod text;
