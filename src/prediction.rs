//! What the classifier says of a text.

use std::sync::Arc;

use crate::model::config::ProblemType;

/// The labels and logits of one text, with the probabilities that follow from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    labels: Arc<[String]>,
    logits: Vec<f32>,
    scores: Vec<f32>,
    tokens: usize,
    dropped_tokens: usize,
}

impl Prediction {
    /// Probability from which a label of a multi-label model counts as predicted.
    pub const THRESHOLD: f32 = 0.5;

    #[doc(hidden)]
    pub fn new(
        labels: Arc<[String]>,
        logits: Vec<f32>,
        problem_type: ProblemType,
        dropped_tokens: usize,
    ) -> Self {
        let scores = scores(&logits, problem_type);
        Self { labels, logits, scores, tokens: 0, dropped_tokens }
    }

    /// The same, of so many tokens.
    pub(crate) fn of_tokens(self, tokens: usize) -> Self {
        Self { tokens, ..self }
    }

    /// Averages predictions of the same model, weighted by `weights`, which are not all zero.
    #[cfg(feature = "text")]
    pub(crate) fn average(parts: &[Self], weights: &[usize]) -> Self {
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
        Self {
            labels: parts[0].labels.clone(),
            logits: mean(Self::logits),
            scores: mean(Self::scores),
            tokens: 0,
            dropped_tokens: 0,
        }
    }

    /// Index of the label with the highest score, the first of several.
    pub fn index(&self) -> usize {
        let mut best = 0;
        for (index, score) in self.scores.iter().enumerate() {
            if *score > self.scores[best] {
                best = index;
            }
        }
        best
    }

    /// The label with the highest score.
    pub fn label(&self) -> &str {
        &self.labels[self.index()]
    }

    /// The highest score: a probability, or the value itself of a regression.
    pub fn score(&self) -> f32 {
        self.scores[self.index()]
    }

    /// The model's labels, in the order of [`scores`](Self::scores) and [`logits`](Self::logits).
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// A score for each label, in label order: softmax of the logits for a single-label model, their
    /// sigmoids for a multi-label model, the logits themselves for a regression.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The `k` labels with the highest scores, best first, with their scores.
    pub fn top_k(&self, k: usize) -> Vec<(&str, f32)> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        // Stable, so that equal scores stay in label order.
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        order.truncate(k);
        order.into_iter().map(|id| (self.labels[id].as_str(), self.scores[id])).collect()
    }

    /// The head's outputs, in label order.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Tokens of the text with the special ones around it, seen by the model or not.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens at the end of the text that the model did not see.
    pub fn dropped_tokens(&self) -> usize {
        self.dropped_tokens
    }

    /// Whether the text was longer than the model takes.
    pub fn truncated(&self) -> bool {
        self.dropped_tokens > 0
    }
}

fn scores(logits: &[f32], problem_type: ProblemType) -> Vec<f32> {
    match problem_type {
        ProblemType::Regression => logits.to_vec(),
        ProblemType::MultiLabelClassification => {
            logits.iter().map(|&logit| (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32).collect()
        }
        ProblemType::SingleLabelClassification => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f64> =
                logits.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| (weight / sum) as f32).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(logits: &[f32], problem_type: ProblemType) -> Prediction {
        let labels = (0..logits.len()).map(|id| format!("LABEL_{id}")).collect();
        Prediction::new(labels, logits.to_vec(), problem_type, 0)
    }

    #[test]
    fn a_single_label_model_shares_out_one_probability() {
        let single = prediction(&[1.0, 3.0, 3.0, -1000.0], ProblemType::SingleLabelClassification);
        assert!((single.scores().iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(single.label(), "LABEL_1");
        assert_eq!(
            single.top_k(2).iter().map(|top| top.0).collect::<Vec<_>>(),
            ["LABEL_1", "LABEL_2"]
        );
        assert_eq!(single.top_k(9).len(), 4);
        assert_eq!(single.scores()[3], 0.0);
    }

    #[test]
    fn a_multi_label_model_has_a_probability_for_each() {
        let multi = prediction(&[0.0, 200.0, -200.0], ProblemType::MultiLabelClassification);
        assert_eq!(multi.scores(), [0.5, 1.0, 0.0]);
    }

    #[test]
    fn a_regression_gives_its_value() {
        assert_eq!(prediction(&[-2.5], ProblemType::Regression).score(), -2.5);
    }

    #[test]
    #[cfg(feature = "text")]
    fn averages_weigh_by_tokens() {
        let parts = [
            prediction(&[0.0, 8.0], ProblemType::Regression),
            prediction(&[4.0, 0.0], ProblemType::Regression),
        ];
        assert_eq!(Prediction::average(&parts, &[1, 3]).scores(), [3.0, 2.0]);
    }
}
