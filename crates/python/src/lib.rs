//! Extension module `distilbert_engine._engine`, on which the Python package is built.
//!
//! It offers what has to be in Rust: the engine, which computes without holding the GIL, and the exchange of NumPy and
//! Arrow data without copies. Defaults, docstrings and the public names are in the package's Python files.

mod arrow;
mod background;
mod bridge;
mod checkpoints;
mod engine;
mod errors;
mod evaluation;
mod explanation;
mod options;
mod pipeline;
mod prediction;
mod program;
mod steps;
mod tokens;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _engine {
    #[pymodule_export]
    use crate::arrow::ArrowTable;
    #[pymodule_export]
    use crate::bridge::{Request, close};
    #[pymodule_export]
    use crate::checkpoints::{convert, locate};
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::evaluation::{Report, evaluate};
    #[pymodule_export]
    use crate::explanation::Explanation;
    #[pymodule_export]
    use crate::prediction::{Prediction, restore_prediction};
    #[pymodule_export]
    use crate::program::run_program;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
