//! Options of Python calls as options of the library.

use distilbert::batcher::SubmitOptions;
use distilbert::{ClassifyOptions, Truncation};
use pyo3::prelude::*;

use crate::errors::exception;

/// Options of one call, a tuple in Python: truncation and number of tokens. `None` stands for the classifier's own setting.
#[derive(FromPyObject)]
pub struct CallOptions(Option<String>, Option<usize>);

impl CallOptions {
    pub fn truncation(&self) -> PyResult<Option<Truncation>> {
        self.0.as_deref().map(parse).transpose()
    }

    pub fn classify(&self) -> PyResult<ClassifyOptions> {
        let mut options = ClassifyOptions::default();
        if let Some(truncation) = self.truncation()? {
            options = options.truncation(truncation);
        }
        Ok(match self.1 {
            Some(tokens) => options.max_tokens(tokens),
            None => options,
        })
    }

    pub fn submit(&self) -> PyResult<SubmitOptions> {
        let mut options = SubmitOptions::default();
        if let Some(truncation) = self.truncation()? {
            options = options.truncation(truncation);
        }
        Ok(match self.1 {
            Some(tokens) => options.max_tokens(tokens),
            None => options,
        })
    }
}

/// Parses the name of an option's value.
pub fn parse<T>(name: &str) -> PyResult<T>
where
    T: std::str::FromStr,
    distilbert::Error: From<T::Err>,
{
    name.parse().map_err(|error| exception(distilbert::Error::from(error)))
}
