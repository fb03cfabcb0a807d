//! [`Report`]: what labelled rows come to.

use crate::bootstrap::{Bootstrap, Estimate};
use crate::calibration::Calibration;
use crate::decisions::{Counts, Decisions, Mark, is_right};
use crate::evaluation::{Evaluate, Evaluation};
use crate::mistakes::{ConfusedPair, Length, Mistake};
use crate::scores::{Average, Scores};

/// How good a model is on labelled rows, in scikit-learn's terms and with its figures.
///
/// Shown, it is the table of `sklearn.metrics.classification_report`, with two digits or as many as the
/// format asks for: `{report:.4}`.
#[derive(Clone, Debug)]
pub struct Report {
    options: Evaluate,
    rows: usize,
    classes: Vec<Class>,
    /// In the order of [`Average::ALL`]; a single-label model has none by row.
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

/// How well a label is told from the others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Class {
    /// The label.
    pub label: String,
    /// Its precision, recall and F1.
    pub scores: Scores,
    /// In how many rows it is true. Without any, its recall is said to be 0.
    pub support: usize,
    /// In how many rows it is predicted. Without any, its precision is said to be 0.
    pub predicted: usize,
}

/// How often which labels are taken for which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confusion {
    /// Of a single-label model: for each true label how often each label is predicted, both in label order.
    Labels(Vec<Vec<usize>>),
    /// Of a multi-label model: for each label, in two rows how often it is not true and how often it is, each
    /// by how often it is not predicted and how often it is.
    EachLabel(Vec<[[usize; 2]; 2]>),
}

impl Report {
    /// Of an evaluation that has rows.
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

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the model is a multi-label one.
    pub fn is_multi_label(&self) -> bool {
        matches!(self.confusion, Confusion::EachLabel(_))
    }

    /// How often rows were drawn again for the intervals.
    pub fn resamples(&self) -> usize {
        self.options.resamples
    }

    /// Seed of the draws.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// The labels, in the model's order, with their scores.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// An average of the labels' scores; none by [`Average::Samples`] for a single-label model.
    pub fn average(&self, average: Average) -> Option<Scores> {
        self.averages.get(average as usize).copied()
    }

    /// The share of rows in which what is predicted is what is true; for a multi-label model, in all labels.
    pub fn accuracy(&self) -> Estimate {
        self.accuracy
    }

    /// The mean of the labels' F1. A label without a row counts as 0.
    pub fn macro_f1(&self) -> Estimate {
        self.macro_f1
    }

    /// Which labels are taken for which.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// The share of rows whose true label is one of the `k` likeliest. Of labels with the same probability,
    /// that of the higher id comes first, as in scikit-learn. None for a multi-label model.
    pub fn top_k_accuracy(&self, k: usize) -> Option<f64> {
        let hits = || self.ranks.iter().take(k).sum::<usize>();
        (!self.is_multi_label()).then(|| hits() as f64 / self.rows as f64)
    }

    /// The mean of the negative natural logarithm of the true label's probability; for a multi-label model,
    /// the mean over the labels of each one's. Probabilities are clipped to 2⁻⁵² from 0 and 1, as
    /// `sklearn.metrics.log_loss` does.
    pub fn log_loss(&self) -> f64 {
        self.log_loss
    }

    /// Whether the model is right as often as it says.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Which labels are confused, the most frequent pair first.
    pub fn confused_pairs(&self) -> &[ConfusedPair] {
        &self.pairs
    }

    /// How many mistakes there are in short texts and in long ones, in rising lengths: up to 8 tokens, to 16,
    /// and so on.
    pub fn lengths(&self) -> &[Length] {
        &self.lengths
    }

    /// The mistakes of which the model is the most confident, those first.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// Labels that are true of no row: their recall is said to be 0.
    pub fn without_support(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().filter(|class| class.support == 0).map(|class| class.label.as_str())
    }

    /// Labels that are never predicted: their precision is said to be 0.
    pub fn never_predicted(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().filter(|class| class.predicted == 0).map(|class| class.label.as_str())
    }

    /// How many rows of a multi-label model have no true label: their recall is said to be 0 where averages are
    /// by row.
    pub fn rows_without_truth(&self) -> usize {
        self.rows_without_truth
    }

    /// How many rows of a multi-label model have no predicted label: their precision is said to be 0 where
    /// averages are by row.
    pub fn rows_without_prediction(&self) -> usize {
        self.rows_without_prediction
    }
}

/// Of each label.
fn counts<'a>(rows: impl Iterator<Item = &'a [Mark]>, labels: usize) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); labels];
    for mark in rows.flatten() {
        counts[mark.label as usize].add(mark);
    }
    counts
}

/// By true label and predicted label, of rows that have one of each.
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

/// Accuracy and macro-F1, over the same draws.
fn intervals(decisions: &Decisions, labels: usize, options: &Evaluate) -> [Estimate; 2] {
    let Evaluate { resamples, seed, .. } = *options;
    Bootstrap { resamples, seed }.estimate(decisions.rows(), |drawn| {
        let right = drawn.iter().filter(|&&row| is_right(decisions.row(row))).count();
        let counts = counts(drawn.iter().map(|&row| decisions.row(row)), labels);
        let scores: Vec<Scores> = counts.iter().map(Counts::scores).collect();
        [right as f64 / drawn.len() as f64, Scores::mean(&scores).f1]
    })
}
