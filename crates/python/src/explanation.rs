//! [`Explanation`]: the words on which a prediction is based.

use std::sync::Arc;

use distilbert::Classifier;
use distilbert::explain::{self, Curve, ExplainOptions, Order, PerturbOptions, Target};
use distilbert_report::explanation::Page;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::background::interruptible;
use crate::engine::Engine;
use crate::errors::exception;
use crate::options::parse;
use crate::prediction::Prediction;

/// Options of an explanation, a tuple in Python: target, label to explain it against, method, objective, attention and
/// truncation.
#[derive(FromPyObject)]
pub struct ExplanationOptions(Option<String>, Option<String>, String, String, bool, Option<String>);

impl ExplanationOptions {
    pub fn parsed(self) -> PyResult<ExplainOptions> {
        let Self(target, against, method, objective, attention, truncation) = self;
        let target = match (target, against) {
            (None, None) => Target::Predicted,
            (Some(label), None) => Target::Label(label),
            (Some(label), Some(other)) => Target::Against { label, other },
            (None, Some(_)) => {
                return Err(PyValueError::new_err("`against` needs a `target`"));
            }
        };
        let options = ExplainOptions::default()
            .target(target)
            .method(parse(&method)?)
            .objective(parse(&objective)?)
            .attention(attention);
        Ok(match truncation {
            Some(truncation) => options.truncation(parse(&truncation)?),
            None => options,
        })
    }
}

/// Explanation of one prediction.
#[pyclass(frozen, module = "distilbert_engine._engine")]
pub struct Explanation {
    explanation: explain::Explanation,
    curves: Vec<Curve>,
    labels: Arc<[String]>,
}

impl Explanation {
    /// Explains a text; with `curves`, also removes words in order of relevance.
    pub fn new(
        py: Python<'_>,
        engine: &Engine,
        text: String,
        options: ExplainOptions,
        curves: bool,
    ) -> PyResult<Self> {
        let (classifier, labels) = (engine.classifier.clone(), engine.labels.clone());
        let call = move || explain(&classifier, &text, &options, curves);
        let (explanation, curves) = interruptible(py, call)?.map_err(exception)?;
        Ok(Self { explanation, curves, labels })
    }

    fn page(&self) -> Page<'_> {
        self.curves.iter().fold(Page::new(&self.explanation), Page::curve)
    }
}

fn explain(
    classifier: &Classifier,
    text: &str,
    options: &ExplainOptions,
    curves: bool,
) -> distilbert::Result<(explain::Explanation, Vec<Curve>)> {
    let explanation = classifier.explain(text, options)?;
    let orders = [Order::MostRelevantFirst, Order::LeastRelevantFirst];
    let curve = |order| classifier.perturb(&explanation, &PerturbOptions::default().order(order));
    let is_drawn = curves && explanation.probability().is_some() && !explanation.words().is_empty();
    let curves = orders.into_iter().filter(|_| is_drawn).map(curve).collect::<Result<_, _>>()?;
    Ok((explanation, curves))
}

#[pymethods]
impl Explanation {
    #[getter]
    fn prediction(&self) -> Prediction {
        Prediction::new(&self.labels, self.explanation.prediction())
    }

    /// Returns all fields as JSON.
    fn json(&self) -> PyResult<String> {
        to_json(&self.explanation)
    }

    /// Returns the page as HTML.
    fn html(&self, settings: Vec<(String, String)>) -> String {
        let page =
            settings.into_iter().fold(self.page(), |page, (name, value)| page.setting(name, value));
        page.html()
    }

    /// Returns names and contents of the pictures.
    fn pictures(&self) -> Vec<(String, String)> {
        self.page().pictures()
    }
}

/// Serializes a result.
pub fn to_json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}
