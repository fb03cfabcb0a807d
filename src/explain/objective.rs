//! What is explained: [`Target`] and [`Objective`], and both for one text.

use crate::error::{Error, Result};
use crate::model::config::ProblemType;
use crate::prediction::Prediction;

/// The label whose score is explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The label with the highest score.
    #[default]
    Predicted,
    /// A label by name.
    Label(String),
    /// A label against another: what speaks for the first rather than the second.
    Against {
        /// The label that relevance speaks for.
        label: String,
        /// The label that it speaks against.
        other: String,
    },
}

impl Target {
    /// A label by name.
    pub fn label(label: impl Into<String>) -> Self {
        Self::Label(label.into())
    }

    /// A label against another.
    pub fn against(label: impl Into<String>, other: impl Into<String>) -> Self {
        Self::Against { label: label.into(), other: other.into() }
    }
}

/// Which of the target's numbers is explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Objective {
    /// Its logit, or the difference of two.
    #[default]
    Logit,
    /// Its probability, or the difference of two; the value itself of a regression has none.
    Probability,
}

impl Objective {
    /// The name, as `--objective` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logit => "logit",
            Self::Probability => "probability",
        }
    }
}

/// A target and an objective, checked against a model.
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
    ) -> Result<Self> {
        if objective == Objective::Probability && problem_type == ProblemType::Regression {
            return Err(Error::NoProbability);
        }
        let find = |label: &String| find_label(labels, label).map(Some);
        let (label, other) = match target {
            Target::Predicted => (None, None),
            Target::Label(label) => (find(label)?, None),
            Target::Against { label, other } if label == other => {
                return Err(Error::SameLabel { label: label.clone() });
            }
            Target::Against { label, other } => (find(label)?, find(other)?),
        };
        Ok(Self { objective, problem_type, label, other })
    }

    /// For a text's prediction, whose label stands in where none is named.
    pub fn of(&self, prediction: &Prediction) -> TextGoal {
        let Self { objective, problem_type, label, other } = *self;
        let label = label.unwrap_or_else(|| prediction.index());
        TextGoal { objective, problem_type, label, other }
    }
}

/// A label's place.
pub(super) fn find_label(labels: &[String], label: &str) -> Result<usize> {
    labels
        .iter()
        .position(|known| known == label)
        .ok_or_else(|| Error::UnknownLabel { requested: label.to_owned(), labels: labels.to_vec() })
}

/// What is explained of one text: a function of its logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TextGoal {
    pub objective: Objective,
    problem_type: ProblemType,
    pub label: usize,
    pub other: Option<usize>,
}

impl TextGoal {
    /// 1 for the label, −1 for the other one.
    fn sign(&self, label: usize) -> f64 {
        f64::from(u8::from(label == self.label)) - f64::from(u8::from(Some(label) == self.other))
    }

    /// Whether scores are probabilities.
    pub fn has_probability(&self) -> bool {
        self.problem_type != ProblemType::Regression
    }

    /// `f(logits)`
    pub fn value(&self, logits: &[f32]) -> f64 {
        let scores = self.scores(logits);
        scores.iter().enumerate().map(|(label, score)| self.sign(label) * score).sum()
    }

    /// `∂f/∂logits`
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

    /// What the value is more than the logits times their gradients: nothing unless it is a probability.
    pub fn remainder(&self, logits: &[f32]) -> f64 {
        let mut gradient = vec![0.0; logits.len()];
        self.gradient(logits, &mut gradient);
        let products = logits.iter().zip(&gradient).map(|(&l, &g)| f64::from(l) * f64::from(g));
        self.value(logits) - products.sum::<f64>()
    }

    /// The logits, or the probabilities.
    fn scores(&self, logits: &[f32]) -> Vec<f64> {
        let logits = logits.iter().map(|&logit| f64::from(logit));
        match (self.objective, self.problem_type) {
            (Objective::Logit, _) | (_, ProblemType::Regression) => logits.collect(),
            (Objective::Probability, ProblemType::MultiLabelClassification) => {
                logits.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
            }
            (Objective::Probability, ProblemType::SingleLabelClassification) => {
                let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                weights.into_iter().map(|weight| weight / sum).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_slopes_of_the_value() {
        let logits = [0.3f32, -1.2, 2.1, 0.0];
        let labels: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        for problem_type in
            [ProblemType::SingleLabelClassification, ProblemType::MultiLabelClassification]
        {
            for objective in [Objective::Logit, Objective::Probability] {
                for target in [Target::Predicted, Target::label("b"), Target::against("a", "d")] {
                    let goal = Goal::new(&target, objective, &labels, problem_type).unwrap();
                    let prediction =
                        Prediction::new(labels.as_slice().into(), logits.to_vec(), problem_type, 0);
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
