//! Functions on model folders.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::background::interruptible;
use crate::errors::exception;
use crate::options::parse;

/// Writes a model's weights as another type of numbers.
#[pyfunction]
pub fn convert(py: Python<'_>, from: PathBuf, to: PathBuf, dtype: Option<&str>) -> PyResult<()> {
    let dtype = dtype.map(parse).transpose()?;
    interruptible(py, move || distilbert::convert(from, to, dtype))?.map_err(exception)
}

/// Returns the folder of a model, which is downloaded if there is no such path.
#[pyfunction]
pub fn locate(py: Python<'_>, model: PathBuf, revision: Option<String>) -> PyResult<PathBuf> {
    #[cfg(feature = "hub")]
    let found = interruptible(py, move || {
        let options = distilbert::hub::HubOptions::default();
        let options = match revision {
            Some(revision) => options.revision(revision),
            None => options,
        };
        distilbert::hub::locate(model, &options)
    })?
    .map_err(exception);
    #[cfg(not(feature = "hub"))]
    let found = {
        // Loading tells if the folder does not exist.
        let _ = (py, revision);
        Ok(model)
    };
    found
}
