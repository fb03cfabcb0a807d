//! [`Engine`]: a loaded model.

use std::path::PathBuf;
use std::sync::Arc;

use distilbert::Classifier;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList};

use crate::background::interruptible;
use crate::bridge::{BridgeCell, Request};
use crate::errors::exception;
use crate::explanation::{Explanation, ExplanationOptions};
use crate::options::{CallOptions, parse};
use crate::prediction::Prediction;
use crate::steps::in_steps;
use crate::{arrow, pipeline, tokens};

/// A loaded model.
#[pyclass(frozen, module = "distilbert_engine._engine")]
pub struct Engine {
    pub classifier: Arc<Classifier>,
    pub labels: Arc<[String]>,
    bridge: BridgeCell,
}

/// Settings of an engine, a tuple in Python: precision, threads, device, truncation and instruction set.
#[derive(FromPyObject)]
struct Settings(Option<String>, Option<usize>, String, Option<String>, Option<String>);

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, folder: PathBuf, settings: Settings) -> PyResult<Self> {
        let Settings(precision, threads, device, truncation, instruction_set) = settings;
        let mut builder = Classifier::builder(folder).device(parse(&device)?);
        if let Some(precision) = precision {
            builder = builder.precision(parse(&precision)?);
        }
        if let Some(threads) = threads {
            builder = builder.threads(threads);
        }
        if let Some(truncation) = truncation {
            builder = builder.truncation(parse(&truncation)?);
        }
        if let Some(set) = instruction_set {
            builder = builder.instruction_set(parse(&set)?);
        }
        let classifier = interruptible(py, move || builder.build())?.map_err(exception)?;
        let labels = classifier.labels().into();
        Ok(Self { classifier: Arc::new(classifier), labels, bridge: BridgeCell::default() })
    }

    #[getter]
    fn labels(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }

    #[getter]
    fn problem_type(&self) -> &str {
        self.classifier.problem_type().name()
    }

    #[getter]
    fn max_tokens(&self) -> usize {
        self.classifier.max_tokens()
    }

    #[getter]
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.classifier.info();
        let info = PyDict::new(py);
        info.set_item("folder", found.folder.as_os_str())?;
        info.set_item("dtypes", &found.dtypes)?;
        info.set_item("parameters", found.parameters)?;
        info.set_item("checkpoint_bytes", found.checkpoint_bytes)?;
        info.set_item("device", found.device.to_string())?;
        info.set_item("instruction_set", found.instruction_set.to_string())?;
        info.set_item("precision", found.precision.to_string())?;
        info.set_item("threads", found.threads)?;
        Ok(info)
    }

    fn classify(
        &self,
        py: Python<'_>,
        text: PyBackedStr,
        options: CallOptions,
    ) -> PyResult<Prediction> {
        let options = options.classify()?;
        let found = py.detach(|| self.classifier.classify_with(&text, &options));
        Ok(Prediction::new(&self.labels, &found.map_err(exception)?))
    }

    fn classify_many(
        &self,
        py: Python<'_>,
        texts: Vec<PyBackedStr>,
        options: CallOptions,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Prediction>> {
        let mut predictions = Vec::with_capacity(texts.len());
        self.each_prediction(py, &texts, options, progress, |found| {
            predictions.push(Prediction::new(&self.labels, found));
        })?;
        Ok(predictions)
    }

    /// Returns what Transformers' pipeline returns for each text: one dictionary, or a list of them.
    fn answer(
        &self,
        py: Python<'_>,
        texts: Vec<PyBackedStr>,
        options: CallOptions,
        shape: pipeline::Shape,
    ) -> PyResult<Py<PyList>> {
        let shape = shape.checked(&self.classifier)?;
        let mut scores = Vec::with_capacity(texts.len());
        self.each_prediction(py, &texts, options, None, |found| scores.push(shape.scores(found)))?;
        shape.answers(py, &self.labels, &scores)
    }

    fn logits<'py>(
        &self,
        py: Python<'py>,
        input_ids: &Bound<'py, PyAny>,
        attention_mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        tokens::logits(py, &self.classifier, input_ids, attention_mask)
    }

    fn explain(
        &self,
        py: Python<'_>,
        text: String,
        options: ExplanationOptions,
        curves: bool,
    ) -> PyResult<Explanation> {
        Explanation::new(py, self, text, options.parsed()?, curves)
    }

    /// Queues a text. `callback` is called on another thread when there is a result.
    fn submit(
        &self,
        py: Python<'_>,
        text: PyBackedStr,
        options: CallOptions,
        callback: Py<PyAny>,
    ) -> PyResult<Request> {
        let bridge = self.bridge.get(&self.classifier).map_err(exception)?;
        Request::submit(py, &bridge, &self.labels, (&*text, options.submit()?), callback)
    }

    /// Classifies a column of a table given by its capsules: that of a stream, or those of a schema and an array.
    fn classify_arrow(
        &self,
        py: Python<'_>,
        table: &Bound<'_, PyAny>,
        output: arrow::Output,
        options: CallOptions,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<arrow::ArrowTable> {
        arrow::classify(py, self, table, &output, (&options.classify()?, progress))
    }
}

impl Engine {
    /// Classifies texts in steps, and passes the predictions on.
    fn each_prediction(
        &self,
        py: Python<'_>,
        texts: &[PyBackedStr],
        options: CallOptions,
        progress: Option<&Bound<'_, PyAny>>,
        mut take: impl FnMut(&distilbert::Prediction) + Send,
    ) -> PyResult<()> {
        let options = options.classify()?;
        in_steps(
            py,
            texts.len(),
            |row| texts[row].len(),
            progress,
            |rows| {
                let found = self.classifier.classify_batch_with(&texts[rows], &options)?;
                found.iter().for_each(&mut take);
                Ok(())
            },
        )
    }
}
