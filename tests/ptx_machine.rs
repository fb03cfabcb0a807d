//! The machine that runs PTX in software: what it does, and what it finds wrong.

mod machine;
#[path = "machine/tests/mod.rs"]
mod tests;
