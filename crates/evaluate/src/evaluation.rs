//! [`Evaluation`]: accumulates labeled rows.

use crate::bootstrap::check_resamples;
use crate::calibration::Calibration;
use crate::decisions::{Decisions, argmax};
use crate::error::{Error, Result};
use crate::mistakes::Mistakes;
use crate::report::Report;
use distilbert::{Prediction, ProblemType, unique_labels};
use std::borrow::Cow;

const MOST_BINS: usize = 1000;

/// Largest number of labels of a single-label model, whose confusion matrix has a cell for each pair: half a gibibyte.
const MOST_LABELS: usize = 1 << 13;

/// Options for an [`Evaluation`].
///
/// ```
/// use distilbert_evaluate::EvaluationOptions;
///
/// let options = EvaluationOptions::default().bins(10).top_k(5).mistakes(50).resamples(10_000).seed(7);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[must_use]
pub struct EvaluationOptions {
    pub(crate) bins: usize,
    pub(crate) top_k: usize,
    mistakes: usize,
    pub(crate) resamples: usize,
    pub(crate) seed: u64,
}

impl Default for EvaluationOptions {
    fn default() -> Self {
        Self { bins: 15, top_k: 3, mistakes: 20, resamples: 2000, seed: 0 }
    }
}

impl EvaluationOptions {
    /// Sets the number of [calibration](Report::calibration) bins, 1 to 1000; 15 by default.
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = bins;
        self
    }

    /// Sets the largest `k` of the [top-k accuracies](Report::top_k) to report; 3 by default.
    pub fn top_k(mut self, k: usize) -> Self {
        self.top_k = k;
        self
    }

    /// Sets the maximum number of [most confident mistakes](Report::mistakes) to report; 20 by default.
    pub fn mistakes(mut self, mistakes: usize) -> Self {
        self.mistakes = mistakes;
        self
    }

    /// Sets the number of bootstrap resamples for the confidence intervals, 1 to 1,000,000; 2000 by default.
    pub fn resamples(mut self, resamples: usize) -> Self {
        self.resamples = resamples;
        self
    }

    /// Sets the seed of the bootstrap; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// Labeled row with a model's scores.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Row<'a> {
    truth: &'a [usize],
    scores: &'a [f32],
    number: Option<usize>,
    pub(crate) tokens: Option<usize>,
    pub(crate) text: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// Creates a row from the ids of its true labels (exactly one for a single-label model) and the probability of each
    /// label in label order, as in [`Prediction::scores`].
    pub fn new(truth: &'a [usize], scores: &'a [f32]) -> Self {
        Self { truth, scores, number: None, tokens: None, text: None }
    }

    /// Sets the number that identifies the row in [mistakes](Report::mistakes) and errors; by default, its index.
    pub fn number(mut self, number: usize) -> Self {
        self.number = Some(number);
        self
    }

    /// Sets the length of the text in tokens, as in [`Prediction::tokens`]. Rows without a length are left out of
    /// [`Report::lengths`].
    pub fn tokens(mut self, tokens: usize) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Sets the text, which is reported if the row is among the most confident [mistakes](Report::mistakes).
    pub fn text(mut self, text: &'a str) -> Self {
        self.text = Some(text);
        self
    }
}

/// Evaluation of a model on labeled rows, accumulated row by row.
///
/// It stores about 8 bytes per true or predicted label, and the texts of the most confident mistakes. A single-label model
/// predicts the label with the highest probability, the first one in a tie; a multi-label model predicts every label with a
/// probability of at least 0.5.
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub(crate) options: EvaluationOptions,
    pub(crate) labels: Vec<String>,
    pub(crate) is_multi_label: bool,
    pub(crate) decisions: Decisions,
    pub(crate) calibration: Calibration,
    pub(crate) mistakes: Mistakes,
    /// Sum of the rows' log losses.
    pub(crate) loss: f64,
    /// Number of rows by the rank of the true label's probability.
    pub(crate) ranks: Vec<usize>,
}

impl Evaluation {
    /// Creates an empty evaluation of a model with these labels; reports call them by their [`unique_labels`].
    ///
    /// # Errors
    /// [`Error::NoLabels`] if `labels` is empty; [`Error::NotClassification`] for a regression model;
    /// [`Error::BinCount`], [`Error::NoResamples`] and [`Error::TooMany`] for invalid options; [`Error::TooMany`] for more
    /// than 8192 labels of a single-label model.
    pub fn new(
        labels: &[String],
        problem_type: ProblemType,
        options: &EvaluationOptions,
    ) -> Result<Self> {
        if problem_type == ProblemType::Regression {
            return Err(Error::NotClassification);
        }
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        if !(1..=MOST_BINS).contains(&options.bins) {
            return Err(Error::BinCount { found: options.bins, limit: MOST_BINS });
        }
        check_resamples(options.resamples)?;
        let is_multi_label = problem_type == ProblemType::MultiLabelClassification;
        if !is_multi_label && labels.len() > MOST_LABELS {
            let (what, found) = ("labels of a single-label model", labels.len());
            return Err(Error::TooMany { what, found, limit: MOST_LABELS });
        }
        Ok(Self {
            options: options.clone(),
            labels: unique_labels(labels).into_iter().map(Cow::into_owned).collect(),
            is_multi_label,
            decisions: Decisions::default(),
            calibration: Calibration::new(options.bins),
            mistakes: Mistakes::new(options.mistakes),
            loss: 0.0,
            ranks: vec![0; if is_multi_label { 0 } else { labels.len() }],
        })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.decisions.rows()
    }

    /// Adds a row. A rejected row leaves the evaluation unchanged.
    ///
    /// # Errors
    /// [`Error::ScoreCount`] and [`Error::NotProbability`] for invalid scores; [`Error::LabelId`] and
    /// [`Error::TrueLabelCount`] for invalid true labels.
    pub fn push(&mut self, row: &Row<'_>) -> Result<()> {
        let number = row.number.unwrap_or_else(|| self.rows());
        self.check(row, number)?;
        let before = self.rows();
        let confidence = if self.is_multi_label { self.push_set(row) } else { self.push_one(row) };
        self.mistakes.push(number, row, self.decisions.row(before), confidence);
        Ok(())
    }

    fn check(&self, row: &Row<'_>, number: usize) -> Result<()> {
        let labels = self.labels.len();
        if row.scores.len() != labels {
            let found = row.scores.len();
            return Err(Error::ScoreCount { row: number, expected: labels, found });
        }
        if let Some(label) = row.scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
            let (label, found) = (self.labels[label].clone(), row.scores[label]);
            return Err(Error::NotProbability { row: number, label, found });
        }
        if let Some(&found) = row.truth.iter().find(|&&label| label >= labels) {
            return Err(Error::LabelId { row: number, found, labels });
        }
        match row.truth.len() {
            found if found != 1 && !self.is_multi_label => {
                Err(Error::TrueLabelCount { row: number, found })
            }
            _ => Ok(()),
        }
    }

    /// Adds a row of a single-label model and returns the confidence in the predicted label.
    fn push_one(&mut self, row: &Row<'_>) -> f32 {
        let (truth, scores) = (row.truth[0], row.scores);
        let best = argmax(scores);
        self.decisions.push(|label| label == truth, |label| label == best, scores.len());
        self.calibration.push(scores[best], best == truth);
        self.loss += log_loss(scores[truth]);
        // In a tie, scikit-learn ranks the higher id first.
        let is_ahead = |&(label, score): &(usize, &f32)| {
            *score > scores[truth] || *score == scores[truth] && label > truth
        };
        self.ranks[scores.iter().enumerate().filter(is_ahead).count()] += 1;
        scores[best]
    }

    /// Adds a row of a multi-label model and returns the highest confidence in a wrong decision.
    fn push_set(&mut self, row: &Row<'_>) -> f32 {
        let mut truth = vec![false; row.scores.len()];
        row.truth.iter().for_each(|&label| truth[label] = true);
        self.decisions.push(
            |label| truth[label],
            |label| row.scores[label] >= Prediction::THRESHOLD,
            truth.len(),
        );
        let mut most = 0f32;
        for (&score, &is_true) in row.scores.iter().zip(&truth) {
            self.calibration.push(score, is_true);
            let loss = if is_true { log_loss(score) } else { log_loss_against(score) };
            self.loss += loss / truth.len() as f64;
            if (score >= Prediction::THRESHOLD) != is_true {
                most = most.max(if is_true { 1.0 - score } else { score });
            }
        }
        most
    }

    /// Computes the metrics of all rows so far.
    ///
    /// # Errors
    /// [`Error::NothingToEvaluate`] if there are no rows.
    pub fn report(&self) -> Result<Report> {
        if self.rows() == 0 {
            return Err(Error::NothingToEvaluate);
        }
        Ok(Report::new(self))
    }
}

/// Smallest distance of a probability from 0 and 1 after clipping, as in scikit-learn for `float64`.
const CLIP: f64 = f64::EPSILON;

/// Returns the log loss of a label that is true.
fn log_loss(probability: f32) -> f64 {
    -f64::from(probability).clamp(CLIP, 1.0 - CLIP).ln()
}

/// Returns the log loss of a label that is not true.
fn log_loss_against(probability: f32) -> f64 {
    -(1.0 - f64::from(probability)).clamp(CLIP, 1.0 - CLIP).ln()
}
