//! [`Explanation`]: the relevance of each token and word for a prediction.

use std::ops::Range;

use super::attention::AttentionWeights;
use super::ledger::Ledger;
use super::method::Method;
use super::objective::{Objective, TextGoal};
use crate::error::{ExplainError, Result};
use crate::prediction::Prediction;

/// Token with its relevance.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Token {
    /// Token id.
    pub id: u32,
    /// Vocabulary entry, such as `##ing` or `[CLS]`.
    pub text: String,
    /// Start in the text, in characters (Unicode scalar values); 0 for special tokens.
    pub start: usize,
    /// End in the text, in characters, exclusive; 0 for special tokens.
    pub end: usize,
    /// Range in the text, in bytes.
    pub bytes: Range<usize>,
    /// Contribution to the explained number, in its unit; negative if the token is evidence against the target.
    pub relevance: f32,
}

/// Word with the relevance of its tokens.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Word {
    /// Word as written in the text.
    pub text: String,
    /// Start in the text, in characters (Unicode scalar values).
    pub start: usize,
    /// End in the text, in characters, exclusive.
    pub end: usize,
    /// Range in the text, in bytes.
    pub bytes: Range<usize>,
    /// Range in [`Explanation::tokens`].
    pub tokens: Range<usize>,
    /// Sum of the relevances of its tokens.
    pub relevance: f32,
}

/// Explanation of one prediction, from [`Classifier::explain`](crate::Classifier::explain).
///
/// The explained [`value`](Self::value) is the sum of the tokens' relevances, the [`ledger`](Self::ledger) and the
/// [`unexplained`](Self::unexplained) remainder.
///
/// With the feature `serde`, an explanation serializes as an object with the fields `text`, `label`, `method` (its
/// [`name`](Method::name)), `steps` (for integrated gradients), `target`, `against`, `objective`, `logit`, `score`,
/// `value`, `tokens`, `words`, `ledger`, `unexplained`, `dropped_tokens`, `truncated_at` and, if requested, `attention`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub(super) text: String,
    pub(super) prediction: Prediction,
    pub(super) method: Method,
    pub(super) goal: TextGoal,
    pub(super) tokens: Vec<Token>,
    /// Positions of the tokens in the row.
    pub(super) positions: Vec<u32>,
    pub(super) words: Vec<Word>,
    pub(super) ledger: Ledger,
    pub(super) attention: Option<AttentionWeights>,
}

impl Explanation {
    /// Returns the explained text; if token ids were given, the ids of its words, separated by spaces.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the prediction for the text, bit-identical to that of
    /// [`classify`](crate::Classifier::classify).
    pub fn prediction(&self) -> &Prediction {
        &self.prediction
    }

    /// Returns the attribution method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the explained label.
    pub fn target(&self) -> &str {
        &self.prediction.labels()[self.goal.label]
    }

    /// Returns the label against which the target is explained, if any.
    pub fn against(&self) -> Option<&str> {
        self.goal.other.map(|other| self.prediction.labels()[other].as_str())
    }

    /// Returns the kind of number that is explained.
    pub fn objective(&self) -> Objective {
        self.goal.objective
    }

    /// Returns the target's logit.
    pub fn logit(&self) -> f32 {
        self.prediction.logits()[self.goal.label]
    }

    /// Returns the target's score: its probability, or the value of a regression model.
    pub fn score(&self) -> f32 {
        self.prediction.scores()[self.goal.label]
    }

    /// Returns the target's probability; `None` for a regression model.
    pub fn probability(&self) -> Option<f32> {
        self.goal.has_probability().then(|| self.score())
    }

    /// Returns the explained number: a logit or a probability, or the difference of two.
    pub fn value(&self) -> f64 {
        self.goal.value(self.prediction.logits())
    }

    /// Returns the tokens in order, special tokens included.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Returns the words in order. Words are separated by whitespace, and each punctuation character is a
    /// separate word, except an apostrophe within a word.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Returns the relevance of each word, in the order of [`words`](Self::words).
    pub fn word_relevances(&self) -> Vec<f32> {
        self.words.iter().map(|word| word.relevance).collect()
    }

    /// Returns the part of the value that the tokens do not account for.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the value minus the relevances of all tokens and the ledger: the rounding error and, with
    /// [`Method::IntegratedGradients`], the quadrature error.
    pub fn unexplained(&self) -> f64 {
        let relevance: f64 = self.tokens.iter().map(|token| f64::from(token.relevance)).sum();
        self.value() - relevance - self.ledger.total()
    }

    /// Returns the attention probabilities, if they were [requested](super::ExplainOptions::attention).
    pub fn attention(&self) -> Option<&AttentionWeights> {
        self.attention.as_ref()
    }

    /// Sums one value per token, such as [`rollout`](AttentionWeights::rollout), into one value per word.
    ///
    /// # Errors
    /// [`ExplainError::TokenValueCount`] if there is not one value per [token](Self::tokens).
    pub fn by_word(&self, values: &[f32]) -> Result<Vec<f32>> {
        if values.len() != self.tokens.len() {
            let (expected, found) = (self.tokens.len(), values.len());
            return Err(ExplainError::TokenValueCount { expected, found }.into());
        }
        Ok(self.words.iter().map(|word| values[word.tokens.clone()].iter().sum()).collect())
    }
}

#[cfg(feature = "serde")]
mod serialize {
    use serde::ser::{Serialize, Serializer};

    use super::{AttentionWeights, Explanation, Ledger, Method, Objective, Token, Word};

    #[derive(serde::Serialize)]
    #[serde(rename = "Explanation")]
    struct View<'a> {
        text: &'a str,
        label: &'a str,
        method: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        steps: Option<usize>,
        target: &'a str,
        against: Option<&'a str>,
        objective: Objective,
        logit: f32,
        score: f32,
        value: f64,
        tokens: &'a [Token],
        words: &'a [Word],
        ledger: &'a Ledger,
        unexplained: f64,
        dropped_tokens: Option<usize>,
        truncated_at: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        attention: Option<&'a AttentionWeights>,
    }

    impl Serialize for Explanation {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let steps = match self.method() {
                Method::IntegratedGradients { steps } => Some(steps),
                _ => None,
            };
            let view = View {
                text: self.text(),
                label: self.prediction().label(),
                method: self.method().name(),
                steps,
                target: self.target(),
                against: self.against(),
                objective: self.objective(),
                logit: self.logit(),
                score: self.score(),
                value: self.value(),
                tokens: self.tokens(),
                words: self.words(),
                ledger: self.ledger(),
                unexplained: self.unexplained(),
                dropped_tokens: self.prediction().dropped_tokens(),
                truncated_at: self.prediction().truncated_at(),
                attention: self.attention(),
            };
            view.serialize(serializer)
        }
    }
}

#[cfg(all(test, feature = "serde", feature = "text"))]
mod tests {
    use serde_json::json;

    use crate::Classifier;
    use crate::explain::{ExplainOptions, Method, Objective, PerturbOptions, Target};

    #[test]
    fn serializes_accessors_and_options() {
        let classifier = Classifier::builder("models/emotion").build().unwrap();
        let options = json!({
            "method": "integrated-gradients:3",
            "target": { "against": { "label": "surprise", "other": "happiness" } },
            "objective": "probability",
        });
        let options: ExplainOptions = serde_json::from_value(options).unwrap();
        let expected = ExplainOptions::default()
            .method(Method::IntegratedGradients { steps: 3 })
            .target(Target::against("surprise", "happiness"))
            .objective(Objective::Probability);
        assert_eq!(options, expected);
        assert!(serde_json::from_str::<ExplainOptions>(r#"{"metod":"lrp"}"#).is_err());

        let explanation = classifier.explain("We won!", &options).unwrap();
        // Parsing the text instead could round a number differently.
        let value = serde_json::to_value(&explanation).unwrap();
        assert_eq!(value["method"], "integrated-gradients");
        assert_eq!(value["steps"], 3);
        assert_eq!(value["target"], "surprise");
        assert_eq!(value["against"], "happiness");
        assert_eq!(value["value"], explanation.value());
        assert_eq!(value["ledger"]["baseline"], explanation.ledger().baseline);
        assert_eq!(value["words"][1]["text"], "won");
        assert_eq!(value["words"][1]["bytes"], json!({ "start": 3, "end": 6 }));
        assert!(value.get("attention").is_none());

        let curve = classifier.perturb(&explanation, &PerturbOptions::default()).unwrap();
        let value = serde_json::to_value(&curve).unwrap();
        assert_eq!(value["ordered_by"], "most-relevant-first");
        assert_eq!(value["replacement"], "pad");
        assert_eq!(value["points"].as_array().unwrap().len(), 4);
        let info = serde_json::to_value(classifier.info()).unwrap();
        assert_eq!(info["folder"], "models/emotion");
        assert_eq!(info["device"], "cpu");
    }
}
