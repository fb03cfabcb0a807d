//! [`Prediction`]: the result for one text.

use std::sync::Arc;

use distilbert::{Precision, ProblemType};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::exception;
use crate::options::parse;

/// Prediction for one text: labels, logits and scores.
#[pyclass(frozen, module = "distilbert_engine._engine", eq)]
#[derive(Clone, PartialEq)]
pub struct Prediction {
    labels: Arc<[String]>,
    logits: Vec<f32>,
    scores: Vec<f32>,
    margin: f32,
    precision: Precision,
    tokens: usize,
    truncated_at: Option<usize>,
    dropped_tokens: Option<usize>,
}

impl Prediction {
    /// Copies a prediction of a classifier with these labels.
    pub fn new(labels: &Arc<[String]>, found: &distilbert::Prediction) -> Self {
        Self {
            labels: labels.clone(),
            logits: found.logits().to_vec(),
            scores: found.scores().to_vec(),
            margin: found.margin(),
            precision: found.precision(),
            tokens: found.tokens(),
            truncated_at: found.truncated_at(),
            dropped_tokens: found.dropped_tokens(),
        }
    }

    /// Returns labels and scores, best first; equal scores stay in label order.
    fn ranking(&self) -> Vec<(&str, f32)> {
        let labels = self.labels.iter().map(String::as_str);
        let mut ranking: Vec<_> = labels.zip(self.scores.iter().copied()).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranking
    }
}

/// Fields of a pickled prediction: labels, logits, scores, margin, precision, tokens, place of a cut, dropped tokens.
type Fields = (Vec<String>, Vec<f32>, Vec<f32>, f32, String, usize, Option<usize>, Option<usize>);

/// Makes a prediction from its pickled fields.
#[pyfunction]
pub fn restore_prediction(fields: Fields) -> PyResult<Prediction> {
    let (labels, logits, scores, margin, precision, tokens, truncated_at, dropped_tokens) = fields;
    if labels.is_empty() || labels.len() != logits.len() || labels.len() != scores.len() {
        return Err(pyo3::exceptions::PyValueError::new_err(
            "a prediction should have as many logits and scores as labels, at least 1",
        ));
    }
    let (labels, precision) = (labels.into(), parse(&precision)?);
    Ok(Prediction {
        labels,
        logits,
        scores,
        margin,
        precision,
        tokens,
        truncated_at,
        dropped_tokens,
    })
}

#[pymethods]
impl Prediction {
    #[getter]
    fn index(&self) -> usize {
        let best = |best, index| if self.scores[index] > self.scores[best] { index } else { best };
        (0..self.scores.len()).fold(0, best)
    }

    #[getter]
    fn label(&self) -> &str {
        &self.labels[self.index()]
    }

    #[getter]
    fn score(&self) -> f32 {
        self.scores[self.index()]
    }

    #[getter]
    fn labels(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }

    #[getter]
    fn scores<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let scores = PyDict::new(py);
        for (label, score) in distilbert::unique_labels(&self.labels).iter().zip(&self.scores) {
            scores.set_item(label, score)?;
        }
        Ok(scores)
    }

    #[getter]
    fn logits(&self) -> Vec<f32> {
        self.logits.clone()
    }

    #[getter]
    fn margin(&self) -> f32 {
        self.margin
    }

    #[getter]
    fn precision(&self) -> String {
        self.precision.to_string()
    }

    #[getter]
    fn tokens(&self) -> usize {
        self.tokens
    }

    #[getter]
    fn truncated(&self) -> bool {
        self.truncated_at.is_some()
    }

    #[getter]
    fn truncated_at(&self) -> Option<usize> {
        self.truncated_at
    }

    #[getter]
    fn dropped_tokens(&self) -> Option<usize> {
        self.dropped_tokens
    }

    fn top_k(&self, k: usize) -> Vec<(&str, f32)> {
        let mut ranking = self.ranking();
        ranking.truncate(k);
        ranking
    }

    // Without the text, Python's introspection sees `...` as the default.
    #[pyo3(
        signature = (threshold=distilbert::Prediction::THRESHOLD),
        text_signature = "($self, threshold=0.5)"
    )]
    fn labels_above(&self, threshold: f32) -> Vec<(&str, f32)> {
        let mut ranking = self.ranking();
        ranking.retain(|&(_, score)| score >= threshold);
        ranking
    }

    fn __repr__(&self) -> String {
        format!("Prediction(label={:?}, score={:.4})", self.label(), self.score())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Fields,))> {
        let restore = py.import("distilbert_engine._engine")?.getattr("restore_prediction")?;
        let fields = (
            self.labels.to_vec(),
            self.logits.clone(),
            self.scores.clone(),
            self.margin,
            self.precision.to_string(),
            self.tokens,
            self.truncated_at,
            self.dropped_tokens,
        );
        Ok((restore, (fields,)))
    }
}

/// Parses the name of a function that turns logits into scores, as Transformers' pipeline calls it.
pub fn function(name: &str) -> PyResult<ProblemType> {
    match name {
        "softmax" => Ok(ProblemType::SingleLabelClassification),
        "sigmoid" => Ok(ProblemType::MultiLabelClassification),
        "none" => Ok(ProblemType::Regression),
        other => {
            let names = &["softmax", "sigmoid", "none"];
            let error = distilbert::ParseNameError::new("function", other, names);
            Err(exception(error.into()))
        }
    }
}
