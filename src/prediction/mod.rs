//! [`Prediction`]: the labels, logits and scores of one text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::input::cut::Cut;
use crate::margin::{distance, distance_of_scores};
use crate::model::config::ProblemType;
use crate::precision::Precision;

/// Prediction for one text: labels, logits and scores.
///
/// A score is a probability, or the value itself for a regression model. With the feature `serde`, a prediction
/// serializes as an object with the fields `label`, `score`, `scores` (an object from [unique label](unique_labels) to
/// score), `logits`, `precision`, `tokens`, `dropped_tokens` (`null` if they were not counted) and `truncated_at` (`null`
/// if the text was not cut).
///
/// ```
/// # #[cfg(feature = "text")] {
/// use distilbert::Classifier;
///
/// let classifier = Classifier::builder("models/emotion").build()?;
/// let prediction = classifier.classify("I can't believe we won!")?;
/// assert_eq!(prediction.label(), classifier.labels()[prediction.index()]);
/// assert_eq!(prediction.score(), prediction.scores()[prediction.index()]);
/// assert_eq!(prediction.top_k(1), [(prediction.label(), prediction.score())]);
/// # }
/// # Ok::<(), distilbert::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    labels: Arc<[String]>,
    logits: Vec<f32>,
    scores: Vec<f32>,
    margin: f32,
    precision: Precision,
    tokens: usize,
    cut: Option<Cut>,
}

impl Prediction {
    /// Conventional cutoff for multi-label models: a label applies if its probability is at least this.
    pub const THRESHOLD: f32 = 0.5;

    // Public for the tests of other crates of the workspace.
    #[doc(hidden)]
    pub fn new(
        labels: Arc<[String]>,
        logits: Vec<f32>,
        problem_type: ProblemType,
        cut: Option<Cut>,
    ) -> Self {
        let scores = scores(&logits, problem_type);
        let margin = distance(logits.iter().copied(), problem_type);
        Self { labels, logits, scores, margin, precision: Precision::default(), tokens: 0, cut }
    }

    /// Sets the precision in which the logits were computed.
    pub(crate) fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Sets the token count.
    pub(crate) fn with_tokens(self, tokens: usize) -> Self {
        Self { tokens, ..self }
    }

    /// Averages predictions of the same model, weighted by `weights`, at least one of which is not zero.
    pub(crate) fn average(parts: &[Self], weights: &[usize], problem_type: ProblemType) -> Self {
        let total: usize = weights.iter().sum();
        let mean = |values: fn(&Self) -> &[f32]| {
            let mut sums = vec![0f64; values(&parts[0]).len()];
            for (part, &weight) in parts.iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(values(part)) {
                    *sum += f64::from(value) * weight as f64;
                }
            }
            sums.into_iter().map(|sum| (sum / total as f64) as f32).collect()
        };
        let scores = mean(Self::scores);
        Self {
            labels: parts[0].labels.clone(),
            logits: mean(Self::logits),
            margin: distance_of_scores(&scores, problem_type),
            scores,
            precision: parts[0].precision,
            tokens: 0,
            cut: parts[0].cut,
        }
    }

    /// Returns the index of the label with the highest score; the first one in a tie.
    ///
    /// It indexes [`labels`](Self::labels), [`scores`](Self::scores) and [`logits`](Self::logits).
    pub fn index(&self) -> usize {
        argmax(&self.scores)
    }

    /// Returns the label with the highest score.
    pub fn label(&self) -> &str {
        &self.labels[self.index()]
    }

    /// Returns the highest score.
    pub fn score(&self) -> f32 {
        self.scores[self.index()]
    }

    /// Returns the model's labels, in the order of [`scores`](Self::scores) and [`logits`](Self::logits).
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Returns one score per label, in label order: the softmax of the logits for a single-label model, their sigmoids
    /// for a multi-label model, or the logits themselves for a regression model.
    ///
    /// For a text split by [`Truncation::Windows`](crate::Truncation::Windows), these are the scores of its windows,
    /// averaged; they differ from the softmax or the sigmoids of the averaged [`logits`](Self::logits).
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Returns the scores that the [`logits`](Self::logits) have under a problem type, which may differ from the model's:
    /// `function_to_apply` of Transformers' text-classification pipeline.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::{Classifier, ProblemType};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let prediction = classifier.classify("What a shock!")?;
    /// assert_eq!(prediction.scores_as(ProblemType::Regression), prediction.logits());
    /// assert_eq!(prediction.scores_as(classifier.problem_type()), prediction.scores());
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn scores_as(&self, problem_type: ProblemType) -> Vec<f32> {
        scores(&self.logits, problem_type)
    }

    /// Returns the head's outputs, in label order; their averages over the windows for a text split by
    /// [`Truncation::Windows`](crate::Truncation::Windows).
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Returns the distance, in logits, from a prediction of other labels: the difference of the two highest logits of a
    /// single-label model; for a multi-label model, the smallest magnitude of a logit, since a probability of
    /// [one half](Self::THRESHOLD) is a logit of 0. Infinite for a regression model.
    ///
    /// A [cascade](Precision::Cascade) compares it with its margin. For a text split by
    /// [`Truncation::Windows`](crate::Truncation::Windows), whose labels are decided by averaged scores, it is the
    /// distance of the logits that would have these scores.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let prediction = classifier.classify("I can't believe we won!")?;
    /// let mut logits = prediction.logits().to_vec();
    /// logits.sort_by(f32::total_cmp);
    /// let [.., second, first] = logits[..] else { panic!("the model has seven labels") };
    /// assert_eq!(prediction.margin(), first - second);
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn margin(&self) -> f32 {
        self.margin
    }

    /// Returns the precision in which the logits were computed: that of the classifier, or with a
    /// [cascade](Precision::Cascade), [`Int8`](Precision::Int8) or [`F32`](Precision::F32).
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the `k` labels with the highest scores, best first, with their scores.
    ///
    /// Labels with equal scores stay in label order. There are fewer than `k` if the model has fewer labels.
    pub fn top_k(&self, k: usize) -> Vec<(&str, f32)> {
        let mut ranking = self.ranking();
        ranking.truncate(k);
        ranking
    }

    /// Returns the labels whose score is at least `threshold`, best first, with their scores.
    ///
    /// This is how a multi-label model decides which labels apply; the list may be empty.
    /// [`THRESHOLD`](Self::THRESHOLD) is the usual choice; a threshold tuned on held-out data is often better.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::{Classifier, Prediction};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let prediction = classifier.classify("I can't believe we won!")?;
    /// let labels = prediction.labels_above(Prediction::THRESHOLD);
    /// assert_eq!(labels.len(), 1);
    /// assert_eq!(labels[0].0, "happiness");
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn labels_above(&self, threshold: f32) -> Vec<(&str, f32)> {
        let mut ranking = self.ranking();
        ranking.retain(|&(_, score)| score >= threshold);
        ranking
    }

    /// Returns the number of tokens of the text that the model read, special tokens included. Tokens that several
    /// windows share count once.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Returns `true` if a part of the text was not read because the text exceeded the model's limit.
    pub fn truncated(&self) -> bool {
        self.cut.is_some()
    }

    /// Returns the side and position of the cut if the text was [truncated](Self::truncated).
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Returns the character (Unicode scalar value) at which the text was [truncated](Self::truncated): the first one
    /// that was not read or, with [`TruncationSide::Left`](crate::TruncationSide::Left), the first one that was read.
    pub fn truncated_at(&self) -> Option<usize> {
        self.cut.map(|cut| cut.at)
    }

    /// Returns the number of tokens of the text that the model did not read; `None` if they were not counted.
    ///
    /// They are counted for texts of up to 16 KiB. For longer texts, counting may cost more than the prediction, and
    /// has to be requested.
    pub fn dropped_tokens(&self) -> Option<usize> {
        self.cut.map_or(Some(0), |cut| cut.dropped_tokens)
    }

    /// Returns all labels and scores, best first; equal scores stay in label order.
    fn ranking(&self) -> Vec<(&str, f32)> {
        let labels = self.labels.iter().map(String::as_str);
        let mut ranking: Vec<_> = labels.zip(self.scores.iter().copied()).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranking
    }
}

/// Returns the labels with the index of their output where several outputs have the same label, such as `other [2]`:
/// unique names for listing all scores of a model in a table or an object.
///
/// ```
/// let labels = ["other", "good", "other"].map(str::to_owned);
/// assert_eq!(distilbert::unique_labels(&labels), ["other [0]", "good", "other [2]"]);
/// ```
pub fn unique_labels(labels: &[String]) -> Vec<Cow<'_, str>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for label in labels {
        *counts.entry(label).or_default() += 1;
    }
    let name = |(index, label): (usize, &'_ String)| {
        let mut name = format!("{label} [{index}]");
        while counts.contains_key(name.as_str()) {
            name.push_str(&format!(" [{index}]"));
        }
        name
    };
    let unique = |(index, label)| match counts[String::as_str(label)] {
        1 => Cow::Borrowed(String::as_str(label)),
        _ => Cow::Owned(name((index, label))),
    };
    labels.iter().enumerate().map(unique).collect()
}

/// Returns the index of the first of the highest scores.
pub(crate) fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}

/// Turns logits into scores, in `f64` so that a score depends only on its logits and not on the instruction set.
fn scores(logits: &[f32], problem_type: ProblemType) -> Vec<f32> {
    match problem_type {
        ProblemType::Regression => logits.to_vec(),
        ProblemType::MultiLabelClassification => {
            logits.iter().map(|&logit| (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32).collect()
        }
        ProblemType::SingleLabelClassification => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exponentials: Vec<f64> =
                logits.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            exponentials.into_iter().map(|exponential| (exponential / sum) as f32).collect()
        }
    }
}

#[cfg(feature = "serde")]
mod serialize {
    use serde::ser::{Serialize, Serializer};

    use super::{Precision, Prediction, unique_labels};

    #[derive(serde::Serialize)]
    #[serde(rename = "Prediction")]
    struct View<'a> {
        label: &'a str,
        score: f32,
        scores: Scores<'a>,
        logits: &'a [f32],
        precision: Precision,
        tokens: usize,
        dropped_tokens: Option<usize>,
        truncated_at: Option<usize>,
    }

    /// Serializes as an object from label to score, in label order.
    struct Scores<'a>(&'a Prediction);

    impl Serialize for Scores<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let names = unique_labels(self.0.labels());
            serializer.collect_map(names.iter().zip(self.0.scores()))
        }
    }

    impl Serialize for Prediction {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let view = View {
                label: self.label(),
                score: self.score(),
                scores: Scores(self),
                logits: self.logits(),
                precision: self.precision(),
                tokens: self.tokens(),
                dropped_tokens: self.dropped_tokens(),
                truncated_at: self.truncated_at(),
            };
            view.serialize(serializer)
        }
    }
}

#[cfg(test)]
mod tests;
