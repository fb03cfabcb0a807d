//! Reports on labelled rows have scikit-learn's figures, and `distilbert evaluate` prints them.
//! `tests/reference/evaluate.py` makes the goldens.

mod support;

#[path = "evaluate/library.rs"]
mod library;
#[cfg(feature = "cli")]
#[path = "evaluate/program.rs"]
mod program;
