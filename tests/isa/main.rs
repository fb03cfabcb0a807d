//! What `tests/isa/run.py` runs on emulated processors besides the tests of kernels: which set the crate
//! chooses, single instructions, logits that all sets share, and a text. All of it runs on any machine.

mod battery;
mod choice;
mod goldens;
#[cfg(feature = "text")]
mod text;
