//! What `tests/isa/run.py` runs on emulated processors besides the tests of kernels: which set the crate
//! chooses, single instructions, logits that all sets share, and a text. All of it runs on any machine.

mod support;

#[path = "isa/battery/mod.rs"]
mod battery;
#[path = "isa/choice.rs"]
mod choice;
#[path = "isa/goldens.rs"]
mod goldens;
#[cfg(feature = "text")]
#[path = "isa/text.rs"]
mod text;
