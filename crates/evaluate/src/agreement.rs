//! [`Agreement`]: compares the predictions of two models, or of one model at two precisions.

use distilbert::{Prediction, ProblemType, unique_labels};

use crate::decisions::{distinct, predicted};
use crate::error::{Error, Result};

/// Agreement of two models' predictions, accumulated row by row.
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
    /// Index in the second model of each of the first model's labels.
    order: Vec<usize>,
    rows: usize,
    same: usize,
    largest: f32,
    /// Sum of the absolute logit differences.
    sum: f64,
    labeled: usize,
    right: [usize; 2],
}

/// Comparison of two models' predictions for one row.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Pair {
    /// `true` if both models predict the same labels.
    pub is_same: bool,
    /// Ids of the labels each model predicts, in the first model's label order: the most probable label, or for a
    /// multi-label model, those with a probability of at least 0.5.
    pub labels: [Vec<usize>; 2],
    /// Largest absolute difference between the two logits of a label.
    pub logit_difference: f32,
}

impl Agreement {
    /// Creates an empty comparison of two models, each given by its labels and problem type. The models must have the
    /// same set of labels; the order may differ.
    ///
    /// # Errors
    /// [`Error::NotClassification`] for a regression model; [`Error::ProblemTypeMismatch`] or [`Error::LabelMismatch`]
    /// if the two models' predictions can't be compared.
    pub fn new(
        (labels, problem_type): (&[String], ProblemType),
        (other_labels, other_type): (&[String], ProblemType),
    ) -> Result<Self> {
        if problem_type == ProblemType::Regression {
            return Err(Error::NotClassification);
        }
        if other_type != problem_type {
            let (expected, found) = (problem_type.as_str(), other_type.as_str());
            return Err(Error::ProblemTypeMismatch { expected, found });
        }
        let (names, other_names) = (unique_labels(labels), unique_labels(other_labels));
        let order: Option<Vec<usize>> =
            names.iter().map(|label| other_names.iter().position(|other| other == label)).collect();
        let mut seen = order.clone().unwrap_or_default();
        seen.sort_unstable();
        match order {
            // Each of the second model's labels occurs exactly once.
            Some(order) if seen.iter().copied().eq(0..other_labels.len()) => Ok(Self {
                is_multi_label: problem_type == ProblemType::MultiLabelClassification,
                order,
                rows: 0,
                same: 0,
                largest: 0.0,
                sum: 0.0,
                labeled: 0,
                right: [0; 2],
            }),
            _ => Err(Error::LabelMismatch {
                expected: labels.to_vec(),
                found: other_labels.to_vec(),
            }),
        }
    }

    /// Adds a row that both models have classified, with its true label ids in the first model's label order if they
    /// are known.
    ///
    /// # Panics
    /// Panics if `second` has too few scores; other mismatches with the models' labels aren't detected.
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
        let labels = [first.scores(), &scores].map(|scores| predicted(scores, self.is_multi_label));
        let is_same = labels[0] == labels[1];
        self.rows += 1;
        self.same += usize::from(is_same);
        self.largest = self.largest.max(logit_difference);
        if let Some(truth) = truth {
            let truth = distinct(truth);
            self.labeled += 1;
            for (right, labels) in self.right.iter_mut().zip(&labels) {
                *right += usize::from(*labels == truth);
            }
        }
        Pair { is_same, labels, logit_difference }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of rows for which both models predict the same labels.
    pub fn same(&self) -> usize {
        self.same
    }

    /// Returns the fraction of rows for which both models predict the same labels; 1 if there are no rows.
    pub fn label_agreement(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.same as f64 / self.rows as f64 }
    }

    /// Returns the largest absolute difference between the two logits of a label over all rows.
    pub fn largest_logit_difference(&self) -> f32 {
        self.largest
    }

    /// Returns the mean absolute difference between two logits; 0 if there are no rows.
    pub fn mean_logit_difference(&self) -> f64 {
        self.sum / (self.rows * self.order.len()).max(1) as f64
    }

    /// Returns the number of rows whose true labels are known.
    pub fn labeled_rows(&self) -> usize {
        self.labeled
    }

    /// Returns each model's accuracy, the fraction of labeled rows for which it predicts exactly the true labels;
    /// `None` if there are no labeled rows.
    pub fn accuracies(&self) -> Option<[f64; 2]> {
        let labeled = self.labeled as f64;
        (self.labeled > 0).then(|| self.right.map(|right| right as f64 / labeled))
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
        Prediction::new(labels(names).into(), logits.to_vec(), problem_type, None)
    }

    #[test]
    fn matches_labels_by_name() {
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
        // Ties go to the first label.
        assert!(push([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], None).is_same);
        assert_eq!((agreement.rows(), agreement.same(), agreement.labeled_rows()), (3, 2, 2));
        assert_eq!(agreement.label_agreement(), 2.0 / 3.0);
        assert_eq!(agreement.largest_logit_difference(), 4.0);
        assert_eq!(agreement.mean_logit_difference(), (1.0 + 0.5 + 0.5 + 4.0) / 9.0);
        assert_eq!(agreement.accuracies(), Some([0.5, 1.0]));
    }

    #[test]
    fn compares_full_label_sets_of_multi_label_models() {
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
    fn rejects_incompatible_models() {
        let (two, three) = (labels(&["a", "b"]), labels(&["a", "b", "c"]));
        for (first, second) in [(&two, &three), (&three, &two), (&two, &labels(&["a", "c"]))] {
            let error = Agreement::new((first, SINGLE), (second, SINGLE)).unwrap_err();
            assert!(matches!(error, Error::LabelMismatch { .. }), "{error}");
        }
        let error = Agreement::new((&two, SINGLE), (&two, MULTI)).unwrap_err();
        assert!(matches!(error, Error::ProblemTypeMismatch { .. }), "{error}");
        let regression = ProblemType::Regression;
        let error = Agreement::new((&two, regression), (&two, regression)).unwrap_err();
        assert!(matches!(error, Error::NotClassification), "{error}");
    }
}
