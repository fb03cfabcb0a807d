//! [`Agreement`]: how far two models, or one at two precisions, say the same.

use distilbert::{Prediction, ProblemType};

use crate::decisions::argmax;
use crate::error::{Error, Result};

/// Rows that two models have seen, and how far they agree on them.
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// use distilbert_evaluate::Agreement;
/// use distilbert::{Classifier, Precision};
///
/// let exact = Classifier::builder("models/emotion").build()?;
/// let small = Classifier::builder("models/emotion").precision(Precision::Int8).build()?;
/// let mut agreement = Agreement::new(
///     (exact.labels(), exact.problem_type()),
///     (small.labels(), small.problem_type()),
/// )?;
/// let texts = ["I miss you so much.", "What a shock!"];
/// let pairs = exact.classify_batch(&texts)?.into_iter().zip(small.classify_batch(&texts)?);
/// for ((first, second), truth) in pairs.zip([5, 6]) {
///     assert!(agreement.push(&first, &second, Some(&[truth])).is_same);
/// }
/// assert_eq!(agreement.label_agreement(), 1.0);
/// assert_eq!(agreement.accuracies(), Some([1.0, 1.0]));
/// assert!(agreement.largest_logit_difference() > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Agreement {
    is_multi_label: bool,
    /// Where the second model has each of the first one's labels.
    order: Vec<usize>,
    rows: usize,
    same: usize,
    largest: f32,
    /// The sum of all logits' differences.
    sum: f64,
    labelled: usize,
    right: [usize; 2],
}

/// What two models say of one row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pair {
    /// Whether both give the same labels.
    pub is_same: bool,
    /// The ids, in the first model's order, of the labels that each gives: the best one, or for a multi-label
    /// model, those with a probability of at least 0.5.
    pub labels: [Vec<usize>; 2],
    /// The largest difference between two logits of one label.
    pub logit_difference: f32,
}

impl Agreement {
    /// Of two models with these labels, without rows. The labels must be the same; their order may differ.
    ///
    /// # Errors
    /// [`Error::NotClassification`] for a regression; [`Error::OtherProblemType`] and
    /// [`Error::OtherLabels`] if the second model cannot say the same as the first.
    pub fn new(
        (labels, problem_type): (&[String], ProblemType),
        (other_labels, other_type): (&[String], ProblemType),
    ) -> Result<Self> {
        if problem_type == ProblemType::Regression {
            return Err(Error::NotClassification);
        }
        if other_type != problem_type {
            let (expected, found) = (problem_type.as_str(), other_type.as_str());
            return Err(Error::OtherProblemType { expected, found });
        }
        let order: Option<Vec<usize>> = labels
            .iter()
            .map(|label| other_labels.iter().position(|other| other == label))
            .collect();
        let mut seen = order.clone().unwrap_or_default();
        seen.sort_unstable();
        match order {
            // Each of the second one's labels exactly once.
            Some(order) if seen.iter().copied().eq(0..other_labels.len()) => Ok(Self {
                is_multi_label: problem_type == ProblemType::MultiLabelClassification,
                order,
                rows: 0,
                same: 0,
                largest: 0.0,
                sum: 0.0,
                labelled: 0,
                right: [0; 2],
            }),
            _ => {
                Err(Error::OtherLabels { expected: labels.to_vec(), found: other_labels.to_vec() })
            }
        }
    }

    /// Adds a row that both models have seen, and the ids of its true labels in the first model's order, if they
    /// are known.
    ///
    /// # Panics
    /// If the predictions do not have the models' labels.
    pub fn push(
        &mut self,
        first: &Prediction,
        second: &Prediction,
        truth: Option<&[usize]>,
    ) -> Pair {
        let reordered = |values: &[f32]| -> Vec<f32> {
            self.order.iter().map(|&place| values[place]).collect()
        };
        let (logits, scores) = (reordered(second.logits()), reordered(second.scores()));
        let differences = first.logits().iter().zip(&logits).map(|(a, b)| (a - b).abs());
        let logit_difference = differences.clone().fold(0.0, f32::max);
        self.sum += differences.map(f64::from).sum::<f64>();
        let labels = [self.given(first.scores()), self.given(&scores)];
        let is_same = labels[0] == labels[1];
        self.rows += 1;
        self.same += usize::from(is_same);
        self.largest = self.largest.max(logit_difference);
        if let Some(truth) = truth {
            let mut truth = truth.to_vec();
            truth.sort_unstable();
            truth.dedup();
            self.labelled += 1;
            for (right, labels) in self.right.iter_mut().zip(&labels) {
                *right += usize::from(*labels == truth);
            }
        }
        Pair { is_same, labels, logit_difference }
    }

    /// The labels that scores give, in their order.
    fn given(&self, scores: &[f32]) -> Vec<usize> {
        if self.is_multi_label {
            return (0..scores.len())
                .filter(|&label| scores[label] >= Prediction::THRESHOLD)
                .collect();
        }
        vec![argmax(scores)]
    }

    /// Rows that have been seen.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of which both models give the same labels.
    pub fn same(&self) -> usize {
        self.same
    }

    /// The share of the rows of which both models give the same labels; 1 without rows.
    pub fn label_agreement(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.same as f64 / self.rows as f64 }
    }

    /// The largest difference between two logits of one label in one row.
    pub fn largest_logit_difference(&self) -> f32 {
        self.largest
    }

    /// The mean difference between two logits, without its sign; 0 without rows.
    pub fn mean_logit_difference(&self) -> f64 {
        self.sum / (self.rows * self.order.len()).max(1) as f64
    }

    /// Rows whose true labels are known.
    pub fn labelled(&self) -> usize {
        self.labelled
    }

    /// The share of the rows with known labels of which each model gives exactly these; `None` without such rows.
    pub fn accuracies(&self) -> Option<[f64; 2]> {
        let labelled = self.labelled as f64;
        (self.labelled > 0).then(|| self.right.map(|right| right as f64 / labelled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINGLE: ProblemType = ProblemType::SingleLabelClassification;
    const MULTI: ProblemType = ProblemType::MultiLabelClassification;

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn prediction(names: &[&str], logits: &[f32], problem_type: ProblemType) -> Prediction {
        Prediction::new(labels(names).into(), logits.to_vec(), problem_type, 0)
    }

    #[test]
    fn labels_are_matched_by_name() {
        let (names, others) = (["a", "b", "c"], ["c", "a", "b"]);
        let mut agreement =
            Agreement::new((&labels(&names), SINGLE), (&labels(&others), SINGLE)).unwrap();
        let mut push = |first: [f32; 3], second: [f32; 3], truth| {
            let first = prediction(&names, &first, SINGLE);
            agreement.push(&first, &prediction(&others, &second, SINGLE), truth)
        };
        let pair = push([3.0, 1.0, 0.5], [0.0, 2.0, 1.5], Some(&[0]));
        let expected = Pair { is_same: true, labels: [vec![0], vec![0]], logit_difference: 1.0 };
        assert_eq!(pair, expected);
        let pair = push([3.0, 1.0, 0.0], [4.0, 3.0, 1.0], Some(&[2]));
        let expected = Pair { is_same: false, labels: [vec![0], vec![2]], logit_difference: 4.0 };
        assert_eq!(pair, expected);
        // The first of equals.
        assert!(push([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], None).is_same);
        assert_eq!((agreement.rows(), agreement.same(), agreement.labelled()), (3, 2, 2));
        assert_eq!(agreement.label_agreement(), 2.0 / 3.0);
        assert_eq!(agreement.largest_logit_difference(), 4.0);
        assert_eq!(agreement.mean_logit_difference(), (1.0 + 0.5 + 0.5 + 4.0) / 9.0);
        assert_eq!(agreement.accuracies(), Some([0.5, 1.0]));
    }

    #[test]
    fn all_labels_of_a_multi_label_model_count() {
        let names = ["a", "b"];
        let mut agreement =
            Agreement::new((&labels(&names), MULTI), (&labels(&names), MULTI)).unwrap();
        let of = |logits| prediction(&names, logits, MULTI);
        assert_eq!(agreement.label_agreement(), 1.0);
        assert_eq!(agreement.accuracies(), None);
        let pair = agreement.push(&of(&[1.0, 2.0]), &of(&[1.0, -1.0]), Some(&[1, 0, 1]));
        assert_eq!(pair.labels, [vec![0, 1], vec![0]]);
        assert!(agreement.push(&of(&[-1.0, -2.0]), &of(&[-3.0, -1.0]), Some(&[])).is_same);
        assert_eq!(agreement.label_agreement(), 0.5);
        assert_eq!(agreement.accuracies(), Some([1.0, 0.5]));
    }

    #[test]
    fn models_that_cannot_agree_are_refused() {
        let (two, three) = (labels(&["a", "b"]), labels(&["a", "b", "c"]));
        for (first, second) in [(&two, &three), (&three, &two), (&two, &labels(&["a", "c"]))] {
            let error = Agreement::new((first, SINGLE), (second, SINGLE)).unwrap_err();
            assert!(matches!(error, Error::OtherLabels { .. }), "{error}");
        }
        let error = Agreement::new((&two, SINGLE), (&two, MULTI)).unwrap_err();
        assert!(matches!(error, Error::OtherProblemType { .. }), "{error}");
        let regression = ProblemType::Regression;
        let error = Agreement::new((&two, regression), (&two, regression)).unwrap_err();
        assert!(matches!(error, Error::NotClassification), "{error}");
    }
}
