//! Results in the form in which Transformers' text-classification pipeline returns them.

use distilbert::{Classifier, Prediction, ProblemType};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::prediction::function;

/// Form of the results, a tuple in Python: function to apply; `true` for one dictionary with the best label instead of
/// a list; and the end of the list, counted from its end if it is negative.
#[derive(FromPyObject)]
pub struct Shape(Option<String>, bool, Option<isize>);

/// A [`Shape`] of a model.
pub struct CheckedShape {
    function: ProblemType,
    only_best: bool,
    end: usize,
}

impl Shape {
    pub fn checked(self, classifier: &Classifier) -> PyResult<CheckedShape> {
        let Self(name, only_best, end) = self;
        let function = match name {
            Some(name) => function(&name)?,
            None => default_function(classifier),
        };
        let labels = classifier.labels().len();
        let end = match end {
            None => labels,
            Some(end) if end < 0 => labels.saturating_sub(end.unsigned_abs()),
            Some(end) => labels.min(end.unsigned_abs()),
        };
        Ok(CheckedShape { function, only_best, end })
    }
}

/// Returns the function that Transformers applies to a model's logits: a sigmoid to a single one.
fn default_function(classifier: &Classifier) -> ProblemType {
    match classifier.problem_type() {
        ProblemType::SingleLabelClassification if classifier.labels().len() == 1 => {
            ProblemType::MultiLabelClassification
        }
        other => other,
    }
}

impl CheckedShape {
    /// Returns the scores of a prediction. Those of windows were averaged under the model's own function.
    pub fn scores(&self, found: &Prediction) -> Vec<f32> {
        found.scores_as(self.function)
    }

    /// Returns the answers for the scores of all texts.
    pub fn answers(
        &self,
        py: Python<'_>,
        labels: &[String],
        scores: &[Vec<f32>],
    ) -> PyResult<Py<PyList>> {
        let names: Vec<_> = labels.iter().map(|label| PyString::new(py, label)).collect();
        let answers = PyList::empty(py);
        for scores in scores {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let dictionary = |&label: &usize| {
                let answer = PyDict::new(py);
                answer.set_item(intern!(py, "label"), &names[label])?;
                answer.set_item(intern!(py, "score"), scores[label])?;
                Ok(answer)
            };
            if self.only_best {
                answers.append(dictionary(&order[0])?)?;
                continue;
            }
            let ranking = order[..self.end].iter().map(dictionary).collect::<PyResult<Vec<_>>>()?;
            answers.append(ranking)?;
        }
        Ok(answers.unbind())
    }
}
