//! Errors of the library as Python exceptions, which are defined in `distilbert_engine/errors.py`.

use std::error::Error as _;
use std::fmt::Write;

use distilbert::Error;
use pyo3::prelude::*;

/// Returns the exception for an error of the library, with its text and that of its causes.
pub fn exception(error: Error) -> PyErr {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    named(class(&error), &text)
}

/// Returns the exception for an error of an evaluation.
pub fn evaluation_exception(error: distilbert_evaluate::Error) -> PyErr {
    match error {
        distilbert_evaluate::Error::Model(error) => exception(error),
        other => named("EvaluationError", &other.to_string()),
    }
}

/// Returns the exception for a table that cannot be read.
pub fn table_exception(text: &str) -> PyErr {
    named("TableError", text)
}

/// Returns the name of the class of an error's exception.
fn class(error: &Error) -> &'static str {
    match error {
        Error::Io { .. } => "FileError",
        Error::Config(_) => "ConfigError",
        Error::Checkpoint(_) => "CheckpointError",
        Error::Input(_) => "InputError",
        Error::Device(_) => "DeviceError",
        Error::Precision(_) => "PrecisionError",
        Error::Batcher(_) => "BatcherError",
        Error::Explain(_) => "ExplainError",
        Error::Name(_) => "OptionError",
        #[cfg(feature = "hub")]
        Error::Hub(_) => "HubError",
        _ => "Error",
    }
}

/// Returns an exception of a class of the package.
fn named(class: &str, text: &str) -> PyErr {
    Python::attach(|py| match make(py, class, text) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    })
}

fn make<'py>(py: Python<'py>, class: &str, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("distilbert_engine.errors")?.getattr(class)?.call1((text,))
}
