//! [`Report`]: the metrics of an evaluation.

use crate::bootstrap::{Bootstrap, Estimate};
use crate::calibration::Calibration;
use crate::decisions::{Counts, Decisions, Mark, is_right};
use crate::evaluation::{Evaluation, EvaluationOptions};
use crate::mistakes::{ConfusedPair, Length, Mistake};
use crate::scores::{Average, Scores};

/// Classification metrics of a model on labeled rows, defined as in scikit-learn.
///
/// `Display` prints the table of `sklearn.metrics.classification_report`, with two decimals or the precision of the
/// format, such as `{report:.4}`.
#[derive(Clone, Debug)]
pub struct Report {
    options: EvaluationOptions,
    rows: usize,
    classes: Vec<Class>,
    /// In the order of [`Average::ALL`]; a single-label model has no [`Average::Samples`].
    averages: Vec<Scores>,
    accuracy: Estimate,
    macro_f1: Estimate,
    confusion: Confusion,
    log_loss: f64,
    calibration: Calibration,
    ranks: Vec<usize>,
    pairs: Vec<ConfusedPair>,
    lengths: Vec<Length>,
    mistakes: Vec<Mistake>,
    rows_without_truth: usize,
    rows_without_prediction: usize,
}

/// Metrics of one label.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Class {
    /// Name of the label.
    pub label: String,
    /// Precision, recall and F1.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub scores: Scores,
    /// Number of rows in which the label is true. If it is 0, so is the recall.
    pub support: usize,
    /// Number of rows in which the label is predicted. If it is 0, so is the precision.
    pub predicted: usize,
}

/// Confusion matrix, or matrices, of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Confusion {
    /// Matrix of a single-label model: true labels by predicted labels, both in label order.
    Labels(Vec<Vec<usize>>),
    /// Matrix of each label of a multi-label model: `[[true negatives, false positives], [false negatives, true
    /// positives]]`.
    EachLabel(Vec<[[usize; 2]; 2]>),
}

impl Report {
    /// Computes the metrics of a non-empty evaluation.
    pub(crate) fn new(evaluation: &Evaluation) -> Self {
        let Evaluation { options, labels, is_multi_label, decisions, mistakes, .. } = evaluation;
        let rows = decisions.rows();
        let counts = counts(decisions.by_row(), labels.len());
        let scores: Vec<Scores> = counts.iter().map(Counts::scores).collect();
        let support: Vec<usize> = counts.iter().map(|counts| counts.support).collect();
        let all = Counts::sum(&counts);
        let mut averages =
            vec![all.scores(), Scores::mean(&scores), Scores::weighted_mean(&scores, &support)];
        let by_row = || decisions.by_row().map(Counts::of);
        if *is_multi_label {
            let scores: Vec<Scores> = by_row().map(|counts| counts.scores()).collect();
            averages.push(Scores::mean(&scores));
        }
        let [accuracy, macro_f1] = intervals(decisions, labels.len(), options);
        let class = |((label, counts), scores): ((&String, &Counts), &Scores)| Class {
            label: label.clone(),
            scores: *scores,
            support: counts.support,
            predicted: counts.predicted,
        };
        Self {
            options: options.clone(),
            rows,
            classes: labels.iter().zip(&counts).zip(&scores).map(class).collect(),
            averages,
            accuracy,
            macro_f1,
            confusion: match is_multi_label {
                true => Confusion::EachLabel(
                    counts.iter().map(|counts| counts.confusion(rows)).collect(),
                ),
                false => Confusion::Labels(confusion(decisions, labels.len())),
            },
            log_loss: evaluation.loss / rows as f64,
            calibration: evaluation.calibration.clone(),
            ranks: evaluation.ranks.clone(),
            pairs: mistakes.pairs(),
            lengths: mistakes.lengths(),
            mistakes: mistakes.most_confident().to_vec(),
            rows_without_truth: by_row().filter(|counts| counts.support == 0).count(),
            rows_without_prediction: by_row().filter(|counts| counts.predicted == 0).count(),
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns `true` if the model is a multi-label model.
    pub fn is_multi_label(&self) -> bool {
        matches!(self.confusion, Confusion::EachLabel(_))
    }

    /// Returns the number of bootstrap resamples behind the intervals.
    pub fn resamples(&self) -> usize {
        self.options.resamples
    }

    /// Returns the seed of the bootstrap.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Returns the metrics of each label, in the model's order.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Returns averaged scores; `None` for [`Average::Samples`] of a single-label model.
    pub fn average(&self, average: Average) -> Option<Scores> {
        self.averages.get(average as usize).copied()
    }

    /// Returns the fraction of rows that are predicted correctly; for a multi-label model, in every label.
    pub fn accuracy(&self) -> Estimate {
        self.accuracy
    }

    /// Returns the mean F1 of the labels. A label that is true of no row counts as 0.
    pub fn macro_f1(&self) -> Estimate {
        self.macro_f1
    }

    /// Returns the confusion matrix.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// Returns the fraction of rows whose true label is among the `k` most probable ones; `None` for a multi-label
    /// model. Ties go to the higher label id, as in scikit-learn.
    pub fn top_k_accuracy(&self, k: usize) -> Option<f64> {
        let hits = || self.ranks.iter().take(k).sum::<usize>();
        (!self.is_multi_label()).then(|| hits() as f64 / self.rows as f64)
    }

    /// Returns the [top-k accuracies](Self::top_k_accuracy) for `k` from 1 to [`EvaluationOptions::top_k`], or to the
    /// number of labels if there are fewer. A multi-label model has none.
    pub fn top_k(&self) -> impl Iterator<Item = (usize, f64)> {
        let largest = self.options.top_k.min(self.classes.len());
        (1..=largest).filter_map(|k| Some((k, self.top_k_accuracy(k)?)))
    }

    /// Returns the mean negative natural logarithm of the true label's probability; for a multi-label model, the mean
    /// of the labels' log losses. Probabilities are clipped to the range 2⁻⁵² to 1 − 2⁻⁵², as in
    /// `sklearn.metrics.log_loss`.
    pub fn log_loss(&self) -> f64 {
        self.log_loss
    }

    /// Returns the calibration of the predictions.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Returns the confused pairs of labels, most frequent first.
    pub fn confused_pairs(&self) -> &[ConfusedPair] {
        &self.pairs
    }

    /// Returns the number of rows and mistakes by text length, in ascending order: up to 8 tokens, 9 to 16, 17 to 32,
    /// and so on.
    pub fn lengths(&self) -> &[Length] {
        &self.lengths
    }

    /// Returns the most confident mistakes, in descending order of confidence.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// Returns the labels that are true of no row; their recall is reported as 0.
    pub fn without_support(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().filter(|class| class.support == 0).map(|class| class.label.as_str())
    }

    /// Returns the labels that are never predicted; their precision is reported as 0.
    pub fn never_predicted(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().filter(|class| class.predicted == 0).map(|class| class.label.as_str())
    }

    /// Returns the number of rows without a true label, for a multi-label model. Their recall counts as 0 in
    /// [`Average::Samples`].
    pub fn rows_without_truth(&self) -> usize {
        self.rows_without_truth
    }

    /// Returns the number of rows without a predicted label, for a multi-label model. Their precision counts as 0 in
    /// [`Average::Samples`].
    pub fn rows_without_prediction(&self) -> usize {
        self.rows_without_prediction
    }
}

/// Counts the decisions about each label.
fn counts<'a>(rows: impl Iterator<Item = &'a [Mark]>, labels: usize) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); labels];
    for mark in rows.flatten() {
        counts[mark.label as usize].add(mark);
    }
    counts
}

/// Counts rows by their true and their predicted label, skipping rows that lack either.
fn confusion(decisions: &Decisions, labels: usize) -> Vec<Vec<usize>> {
    let mut confusion = vec![vec![0; labels]; labels];
    for marks in decisions.by_row() {
        let truth = marks.iter().find(|mark| mark.is_true);
        let predicted = marks.iter().find(|mark| mark.is_predicted);
        if let (Some(truth), Some(predicted)) = (truth, predicted) {
            confusion[truth.label as usize][predicted.label as usize] += 1;
        }
    }
    confusion
}

/// Estimates accuracy and macro-F1 from the same draws.
fn intervals(decisions: &Decisions, labels: usize, options: &EvaluationOptions) -> [Estimate; 2] {
    let EvaluationOptions { resamples, seed, .. } = *options;
    Bootstrap { resamples, seed }.estimate(decisions.rows(), |drawn| {
        let right = drawn.iter().filter(|&&row| is_right(decisions.row(row))).count();
        let counts = counts(drawn.iter().map(|&row| decisions.row(row)), labels);
        let scores: Vec<Scores> = counts.iter().map(Counts::scores).collect();
        [right as f64 / drawn.len() as f64, Scores::mean(&scores).f1]
    })
}
