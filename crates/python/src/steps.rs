//! Long lists of texts, computed in steps between which signals are handled and progress is reported.

use std::ops::Range;
use std::time::{Duration, Instant};

use distilbert::{Error, Result};
use pyo3::prelude::*;

use crate::errors::exception;

/// Bytes of text in the first step.
const FIRST_BYTES: usize = 1 << 13;

/// Most bytes of text in a step, which bounds its memory if a small model computes fast.
const MOST_BYTES: usize = 1 << 20;

/// Duration that steps should have: long enough that their ends cost nothing, short enough for Ctrl-C.
const DURATION: Range<Duration> = Duration::from_millis(150)..Duration::from_millis(400);

/// Computes `compute` for all rows, in steps and without holding the GIL. Results don't depend on the steps.
///
/// `bytes` returns the size of a row's text. Rows in errors are counted from the first row of all.
pub fn in_steps(
    py: Python<'_>,
    rows: usize,
    bytes: impl Fn(usize) -> usize,
    progress: Option<&Bound<'_, PyAny>>,
    mut compute: impl FnMut(Range<usize>) -> Result<()> + Send,
) -> PyResult<()> {
    let (mut start, mut most) = (0, FIRST_BYTES);
    while start < rows {
        let step = start..end_of_step(start, rows, most, &bytes);
        let begin = Instant::now();
        let result = py.detach(|| compute(step.clone()));
        result.map_err(|error| match error {
            Error::Input(error) => exception(error.in_part(start).into()),
            other => exception(other),
        })?;
        match begin.elapsed() {
            time if time < DURATION.start => most = (most * 2).min(MOST_BYTES),
            time if time > DURATION.end => most = (most / 2).max(1),
            _ => {}
        }
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1((step.len(),))?;
        }
        start = step.end;
    }
    Ok(())
}

/// Returns the end of the step that begins at a row: at least one row, and no more than `most` bytes otherwise.
fn end_of_step(start: usize, rows: usize, most: usize, bytes: impl Fn(usize) -> usize) -> usize {
    let mut total = 0usize;
    let fits = |row: &usize| {
        // Special tokens count too, so that empty texts don't make a step endless.
        total = total.saturating_add(bytes(*row) + 8);
        total <= most
    };
    (start + 1).max(start + (start..rows).take_while(fits).count())
}
