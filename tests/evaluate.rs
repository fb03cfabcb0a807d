//! Reports on labelled rows have scikit-learn's figures, and `distilbert evaluate` prints them.
//! `tests/reference/evaluate.py` makes the goldens.

mod support;

#[cfg(feature = "cli")]
#[path = "evaluate/compare.rs"]
mod compare;
#[path = "evaluate/library.rs"]
mod library;
#[cfg(feature = "cli")]
#[path = "evaluate/program.rs"]
mod program;
