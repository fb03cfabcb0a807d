//! Evaluation of a model on labeled texts.

use distilbert_evaluate::{Evaluation, EvaluationOptions, Row};
use distilbert_report::evaluation::Page;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::background::interruptible;
use crate::engine::Engine;
use crate::errors::evaluation_exception;
use crate::explanation::to_json;
use crate::options::CallOptions;
use crate::steps::in_steps;

/// Options of an evaluation, a tuple in Python: calibration bins, largest k of top-k accuracy, mistakes, resamples, seed.
#[derive(FromPyObject)]
pub struct ReportOptions(usize, usize, usize, usize, u64);

/// Metrics of an evaluation.
#[pyclass(frozen, module = "distilbert_engine._engine")]
pub struct Report(distilbert_evaluate::Report);

/// Classifies texts and compares the predictions with the ids of their true labels.
#[pyfunction]
pub fn evaluate(
    py: Python<'_>,
    engine: &Engine,
    rows: (Vec<PyBackedStr>, Vec<Vec<usize>>),
    report: ReportOptions,
    options: CallOptions,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Report> {
    let (texts, truth) = rows;
    if texts.len() != truth.len() {
        let (texts, truth) = (texts.len(), truth.len());
        let message =
            format!("expected one label per text, found {truth} labels for {texts} texts");
        return Err(PyValueError::new_err(message));
    }
    let ReportOptions(bins, top_k, mistakes, resamples, seed) = report;
    let report = EvaluationOptions::default()
        .bins(bins)
        .top_k(top_k)
        .mistakes(mistakes)
        .resamples(resamples)
        .seed(seed);
    let (classifier, options) = (&engine.classifier, options.classify()?);
    let evaluation = Evaluation::new(classifier.labels(), classifier.problem_type(), &report);
    let mut evaluation = evaluation.map_err(evaluation_exception)?;
    let mut rejected = None;
    in_steps(
        py,
        texts.len(),
        |row| texts[row].len(),
        progress,
        |rows| {
            let found = classifier.classify_batch_with(&texts[rows.clone()], &options)?;
            for (row, prediction) in rows.zip(&found) {
                let labeled = Row::new(&truth[row], prediction.scores())
                    .text(&texts[row])
                    .tokens(prediction.tokens());
                if let Err(error) = evaluation.push(&labeled) {
                    rejected.get_or_insert(error);
                }
            }
            Ok(())
        },
    )?;
    if let Some(error) = rejected {
        return Err(evaluation_exception(error));
    }
    let report = interruptible(py, move || evaluation.report())?;
    report.map(Report).map_err(evaluation_exception)
}

#[pymethods]
impl Report {
    /// Returns all metrics as JSON.
    fn json(&self) -> PyResult<String> {
        to_json(&self.0)
    }

    /// Returns the table of scores.
    fn text(&self, digits: usize) -> String {
        format!("{:.*}", digits, self.0)
    }

    /// Returns the page as HTML.
    fn html(&self, digits: usize, settings: Vec<(String, String)>) -> String {
        let page = Page::new(&self.0).digits(digits);
        settings.into_iter().fold(page, |page, (name, value)| page.setting(name, value)).html()
    }
}
