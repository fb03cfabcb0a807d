//! The program `distilbert`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use pyo3::prelude::*;

/// Runs the program with these arguments, and returns its exit code. `model` is the folder of the bundled model.
#[pyfunction]
pub fn run_program(py: Python<'_>, arguments: Vec<OsString>, model: PathBuf) -> u8 {
    let name = std::iter::once("distilbert".into());
    let code = py.detach(|| distilbert_cli::run(name.chain(arguments), Some(model)));
    (0..u8::MAX).find(|&number| ExitCode::from(number) == code).unwrap_or(u8::MAX)
}
