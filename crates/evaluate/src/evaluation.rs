//! [`Evaluation`]: takes labelled rows one after the other.

use crate::calibration::Calibration;
use crate::decisions::{Decisions, argmax};
use crate::error::{Error, Result};
use crate::mistakes::Mistakes;
use crate::report::Report;
use distilbert::{Prediction, ProblemType};

const MOST_BINS: usize = 1000;

/// What to find out of labelled rows.
///
/// ```
/// use distilbert_evaluate::Evaluate;
///
/// let options = Evaluate::default().bins(10).mistakes(50).resamples(10_000).seed(7);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Evaluate {
    pub(crate) bins: usize,
    mistakes: usize,
    pub(crate) resamples: usize,
    pub(crate) seed: u64,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self { bins: 15, mistakes: 20, resamples: 2000, seed: 0 }
    }
}

impl Evaluate {
    /// How many bins of equal width the [calibration](Report::calibration) has, 1 to 1000; by default 15.
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = bins;
        self
    }

    /// How many of the [most confident mistakes](Report::mistakes) are kept; by default 20.
    pub fn mistakes(mut self, mistakes: usize) -> Self {
        self.mistakes = mistakes;
        self
    }

    /// How often rows are drawn again for the intervals; by default 2000 times.
    pub fn resamples(mut self, resamples: usize) -> Self {
        self.resamples = resamples;
        self
    }

    /// Seed of the draws; by default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// A labelled row, and what a model says of it.
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
    /// True labels by their ids, of which there is one for a single-label model, and the probability of each
    /// label, in label order: [`Prediction::scores`].
    pub fn new(truth: &'a [usize], scores: &'a [f32]) -> Self {
        Self { truth, scores, number: None, tokens: None, text: None }
    }

    /// What the row is called where it is a [mistake](Report::mistakes) or an error; by default, how many rows
    /// came before.
    pub fn number(mut self, number: usize) -> Self {
        self.number = Some(number);
        self
    }

    /// The length of its text: [`Prediction::tokens`]. Rows without one count in no
    /// [`Report::lengths`].
    pub fn tokens(mut self, tokens: usize) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Its text, which is kept where it is one of the most confident [mistakes](Report::mistakes).
    pub fn text(mut self, text: &'a str) -> Self {
        self.text = Some(text);
        self
    }
}

/// Labelled rows that have been seen.
///
/// Of each are kept its true and predicted labels, some 8 bytes for each, and of the most confident mistakes
/// the texts. A label of a single-label model is predicted if it has the highest probability, the first of
/// the highest; one of a multi-label model, if its probability is at least 0.5.
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub(crate) options: Evaluate,
    pub(crate) labels: Vec<String>,
    pub(crate) is_multi_label: bool,
    pub(crate) decisions: Decisions,
    pub(crate) calibration: Calibration,
    pub(crate) mistakes: Mistakes,
    /// The sum of the rows' log losses.
    pub(crate) loss: f64,
    /// In how many rows the true label is the likeliest, the second, and so on.
    pub(crate) ranks: Vec<usize>,
}

impl Evaluation {
    /// An evaluation of a model with these labels, without rows.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; [`Error::NotClassification`] for a regression; [`Error::Bins`] and
    /// [`Error::NoResamples`] for the options.
    pub fn new(labels: &[String], problem_type: ProblemType, options: &Evaluate) -> Result<Self> {
        if problem_type == ProblemType::Regression {
            return Err(Error::NotClassification);
        }
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        if !(1..=MOST_BINS).contains(&options.bins) {
            return Err(Error::Bins { found: options.bins, limit: MOST_BINS });
        }
        if options.resamples == 0 {
            return Err(Error::NoResamples);
        }
        let is_multi_label = problem_type == ProblemType::MultiLabelClassification;
        Ok(Self {
            options: options.clone(),
            labels: labels.to_vec(),
            is_multi_label,
            decisions: Decisions::default(),
            calibration: Calibration::new(options.bins),
            mistakes: Mistakes::new(options.mistakes),
            loss: 0.0,
            ranks: vec![0; if is_multi_label { 0 } else { labels.len() }],
        })
    }

    /// How many rows have been seen.
    pub fn rows(&self) -> usize {
        self.decisions.rows()
    }

    /// Takes a row. One that is refused changes nothing.
    ///
    /// # Errors
    /// [`Error::ScoreCount`] and [`Error::NotProbability`] for what the model says, [`Error::LabelId`] and
    /// [`Error::TrueLabelCount`] for the truth.
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

    /// Gives the confidence of what is predicted.
    fn push_one(&mut self, row: &Row<'_>) -> f32 {
        let (truth, scores) = (row.truth[0], row.scores);
        let best = argmax(scores);
        self.decisions.push(|label| label == truth, |label| label == best, scores.len());
        self.calibration.push(scores[best], best == truth);
        self.loss += log_loss(scores[truth]);
        // Of equal scores, scikit-learn ranks that of the higher id first.
        let is_ahead = |&(label, score): &(usize, &f32)| {
            *score > scores[truth] || *score == scores[truth] && label > truth
        };
        self.ranks[scores.iter().enumerate().filter(is_ahead).count()] += 1;
        scores[best]
    }

    /// Gives the highest confidence of a wrong decision.
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

    /// What the rows come to.
    ///
    /// # Errors
    /// [`Error::NothingToEvaluate`] without rows.
    pub fn report(&self) -> Result<Report> {
        if self.rows() == 0 {
            return Err(Error::NothingToEvaluate);
        }
        Ok(Report::new(self))
    }
}

/// Probabilities are clipped as scikit-learn does those in `float64`: so far from 0 and from 1.
const CLIP: f64 = f64::EPSILON;

/// What a true label costs.
fn log_loss(probability: f32) -> f64 {
    -f64::from(probability).clamp(CLIP, 1.0 - CLIP).ln()
}

/// What a label that is not true costs.
fn log_loss_against(probability: f32) -> f64 {
    -(1.0 - f64::from(probability)).clamp(CLIP, 1.0 - CLIP).ln()
}
