//! Functions that libFuzzer calls with bytes, one for each parser and for each call that takes a caller's numbers. They
//! panic if a promise is broken, and abort if an input takes too much memory.
//!
//! `dev/fuzz` drives them; `tests/replay.rs` calls them with the inputs that are kept there.

mod budget;
mod bytes;
mod checkpoint;
mod config;
mod json;
mod model;
mod panics;
mod patch;
mod server;
mod table;
mod tokenizer;
mod tokens;
mod truncation;
mod zip;

pub use test_support::counting::Counting;

pub use self::panics::abort_on_own_panics;

/// A function to fuzz.
pub type Target = fn(&[u8]);

/// Every function to fuzz, with its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("config", config::run),
    ("delimited", table::delimited),
    ("hdf5", checkpoint::hdf5),
    ("json_lines", table::json_lines),
    ("parquet", table::parquet),
    ("pickle", checkpoint::pickle),
    ("safetensors", checkpoint::safetensors),
    ("server", server::run),
    ("tokenizer", tokenizer::run),
    ("tokens", tokens::run),
    ("truncation", truncation::run),
];

/// Returns the function with a name.
///
/// # Panics
/// Panics if there is none.
#[must_use]
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no target `{name}`")).1
}
