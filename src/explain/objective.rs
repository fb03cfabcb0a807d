//! [`Target`] and [`Objective`]: the label and the kind of number to explain.

use crate::error::{ExplainError, Result};
use crate::model::config::ProblemType;
use crate::names::impl_names;
use crate::prediction::Prediction;

/// Label to explain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Target {
    /// Label with the highest score.
    #[default]
    Predicted,
    /// Label with this name.
    Label(String),
    /// Difference of two labels: evidence for the first one rather than the second.
    Against {
        /// Label for which positive relevance is evidence.
        label: String,
        /// Label for which negative relevance is evidence.
        other: String,
    },
}

impl Target {
    /// Returns the target [`Label`](Self::Label).
    pub fn label(label: impl Into<String>) -> Self {
        Self::Label(label.into())
    }

    /// Returns the target [`Against`](Self::Against).
    pub fn against(label: impl Into<String>, other: impl Into<String>) -> Self {
        Self::Against { label: label.into(), other: other.into() }
    }
}

/// Kind of number to explain for the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Objective {
    /// Logit, or difference of two logits; for a regression model, the value itself.
    #[default]
    Logit,
    /// Probability, or difference of two probabilities; not available for a regression model.
    Probability,
}

impl_names!(Objective, "objective", { Logit => "logit", Probability => "probability" });

/// Target and objective, checked against a model.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    objective: Objective,
    problem_type: ProblemType,
    /// `None` for the predicted label.
    label: Option<usize>,
    other: Option<usize>,
}

impl Goal {
    pub fn new(
        target: &Target,
        objective: Objective,
        labels: &[String],
        problem_type: ProblemType,
    ) -> Result<Self, ExplainError> {
        if objective == Objective::Probability && problem_type == ProblemType::Regression {
            return Err(ExplainError::NoProbability);
        }
        let find = |label: &String| find_label(labels, label).map(Some);
        let (label, other) = match target {
            Target::Predicted => (None, None),
            Target::Label(label) => (find(label)?, None),
            Target::Against { label, other } if label == other => {
                return Err(ExplainError::SameLabel { label: label.clone() });
            }
            Target::Against { label, other } => (find(label)?, find(other)?),
        };
        Ok(Self { objective, problem_type, label, other })
    }

    /// Resolves the goal for a text; [`Target::Predicted`] becomes the label of its prediction.
    pub fn of(&self, prediction: &Prediction) -> TextGoal {
        let Self { objective, problem_type, label, other } = *self;
        let label = label.unwrap_or_else(|| prediction.index());
        TextGoal { objective, problem_type, label, other }
    }
}

/// Returns the index of a label.
pub(super) fn find_label(labels: &[String], label: &str) -> Result<usize, ExplainError> {
    labels.iter().position(|known| known == label).ok_or_else(|| ExplainError::UnknownLabel {
        requested: label.to_owned(),
        labels: labels.to_vec(),
    })
}

/// Number explained for one text: a function `f` of its logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TextGoal {
    pub objective: Objective,
    problem_type: ProblemType,
    pub label: usize,
    pub other: Option<usize>,
}

impl TextGoal {
    /// Returns 1 for the label, −1 for the one it is explained against, else 0.
    fn sign(&self, label: usize) -> f64 {
        f64::from(u8::from(label == self.label)) - f64::from(u8::from(Some(label) == self.other))
    }

    /// Returns `true` if scores are probabilities.
    pub fn has_probability(&self) -> bool {
        self.problem_type != ProblemType::Regression
    }

    /// Returns `f(logits)`.
    pub fn value(&self, logits: &[f32]) -> f64 {
        let scores = self.scores(logits);
        scores.iter().enumerate().map(|(label, score)| self.sign(label) * score).sum()
    }

    /// Writes `∂f/∂logits`.
    pub fn gradient(&self, logits: &[f32], to: &mut [f32]) {
        let scores = self.scores(logits);
        let value = self.value(logits);
        for (label, (to, score)) in to.iter_mut().zip(scores).enumerate() {
            let sign = self.sign(label);
            *to = match (self.objective, self.problem_type) {
                (Objective::Logit, _) | (_, ProblemType::Regression) => sign,
                (Objective::Probability, ProblemType::SingleLabelClassification) => {
                    score * (sign - value)
                }
                (Objective::Probability, ProblemType::MultiLabelClassification) => {
                    sign * score * (1.0 - score)
                }
            } as f32;
        }
    }

    /// Returns `f(logits) − Σ logit · ∂f/∂logit`, which is zero unless a probability is explained.
    pub fn remainder(&self, logits: &[f32]) -> f64 {
        let mut gradient = vec![0.0; logits.len()];
        self.gradient(logits, &mut gradient);
        let products = logits.iter().zip(&gradient).map(|(&l, &g)| f64::from(l) * f64::from(g));
        self.value(logits) - products.sum::<f64>()
    }

    /// Returns the numbers that are explained: logits or probabilities.
    fn scores(&self, logits: &[f32]) -> Vec<f64> {
        let logits = logits.iter().map(|&logit| f64::from(logit));
        match (self.objective, self.problem_type) {
            (Objective::Logit, _) | (_, ProblemType::Regression) => logits.collect(),
            (Objective::Probability, ProblemType::MultiLabelClassification) => {
                logits.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
            }
            (Objective::Probability, ProblemType::SingleLabelClassification) => {
                let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let exponentials: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
                let sum: f64 = exponentials.iter().sum();
                exponentials.into_iter().map(|exponential| exponential / sum).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_matches_finite_differences() {
        let logits = [0.3f32, -1.2, 2.1, 0.0];
        let labels: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        for problem_type in
            [ProblemType::SingleLabelClassification, ProblemType::MultiLabelClassification]
        {
            for objective in [Objective::Logit, Objective::Probability] {
                for target in [Target::Predicted, Target::label("b"), Target::against("a", "d")] {
                    let goal = Goal::new(&target, objective, &labels, problem_type).unwrap();
                    let prediction = Prediction::new(
                        labels.as_slice().into(),
                        logits.to_vec(),
                        problem_type,
                        None,
                    );
                    let goal = goal.of(&prediction);
                    let mut gradient = [0.0; 4];
                    goal.gradient(&logits, &mut gradient);
                    for label in 0..4 {
                        const STEP: f32 = 1.0 / 256.0;
                        let moved = |step: f32| {
                            let mut logits = logits;
                            logits[label] += step;
                            goal.value(&logits)
                        };
                        let slope = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
                        assert!((f64::from(gradient[label]) - slope).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
