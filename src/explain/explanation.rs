//! [`Explanation`]: what each token and word has to do with a prediction.

use std::ops::Range;

use super::attention::AttentionWeights;
use super::ledger::Ledger;
use super::method::Method;
use super::objective::{Objective, TextGoal};
use crate::error::{Error, Result};
use crate::prediction::Prediction;

/// A token with its relevance.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// The vocabulary's spelling, such as `##ing` or `[CLS]`.
    pub text: String,
    /// Where it begins in the text, in characters; 0, as the end, for special tokens.
    pub start: usize,
    /// Where it ends, in characters.
    pub end: usize,
    /// The same in bytes, to slice the text by.
    pub bytes: Range<usize>,
    /// What it contributes to what is explained: above 0 it speaks for it, below 0 against it.
    pub relevance: f32,
}

/// A word with the relevance of its pieces.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Word {
    /// As it stands in the text.
    pub text: String,
    /// Where it begins in the text, in characters.
    pub start: usize,
    /// Where it ends, in characters.
    pub end: usize,
    /// The same in bytes, to slice the text by.
    pub bytes: Range<usize>,
    /// Its pieces among the tokens.
    pub tokens: Range<usize>,
    /// The sum of its pieces' relevances.
    pub relevance: f32,
}

/// Why a text got its prediction.
///
/// The value that is explained is the sum of the tokens' relevances, the [`ledger`](Self::ledger) and
/// what is [`unexplained`](Self::unexplained), which is rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub(super) text: String,
    pub(super) prediction: Prediction,
    pub(super) method: Method,
    pub(super) goal: TextGoal,
    pub(super) tokens: Vec<Token>,
    /// The tokens' positions.
    pub(super) positions: Vec<u32>,
    pub(super) words: Vec<Word>,
    pub(super) ledger: Ledger,
    pub(super) attention: Option<AttentionWeights>,
}

impl Explanation {
    /// The text that is explained, or the ids of its words where no text was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the classifier says of the text: the same, bit for bit, as
    /// [`classify`](crate::Classifier::classify).
    pub fn prediction(&self) -> &Prediction {
        &self.prediction
    }

    /// How relevance was shared out.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The label that is explained.
    pub fn target(&self) -> &str {
        &self.prediction.labels()[self.goal.label]
    }

    /// The label that the target is explained against, if there is one.
    pub fn against(&self) -> Option<&str> {
        self.goal.other.map(|other| self.prediction.labels()[other].as_str())
    }

    /// Which of the target's numbers is explained.
    pub fn objective(&self) -> Objective {
        self.goal.objective
    }

    /// The target's logit.
    pub fn logit(&self) -> f32 {
        self.prediction.logits()[self.goal.label]
    }

    /// The target's score: its probability, or the value of a regression.
    pub fn score(&self) -> f32 {
        self.prediction.scores()[self.goal.label]
    }

    /// The target's probability; `None` for a regression.
    pub fn probability(&self) -> Option<f32> {
        self.goal.has_probability().then(|| self.score())
    }

    /// What is explained: a logit or a probability, or the difference of two.
    pub fn value(&self) -> f64 {
        self.goal.value(self.prediction.logits())
    }

    /// The tokens in order, special ones included.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The words in order: what stands between spaces, with punctuation apart. An apostrophe within a
    /// word is part of it.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Returns the relevance of each word, in the order of [`words`](Self::words).
    pub fn word_relevances(&self) -> Vec<f32> {
        self.words.iter().map(|word| word.relevance).collect()
    }

    /// What of the value is not the tokens'.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The value, less the relevance of all tokens and the ledger: rounding, and with
    /// [`Method::IntegratedGradients`] also what the steps have missed of the way.
    pub fn unexplained(&self) -> f64 {
        let relevance: f64 = self.tokens.iter().map(|token| f64::from(token.relevance)).sum();
        self.value() - relevance - self.ledger.total()
    }

    /// The weights of attention, if they were [asked for](super::Explain::attention).
    pub fn attention(&self) -> Option<&AttentionWeights> {
        self.attention.as_ref()
    }

    /// The sum of each word's share of a value for each token, such as
    /// [`rollout`](AttentionWeights::rollout).
    ///
    /// # Errors
    /// [`Error::TokenValueCount`] for values that are not one for each of the [`tokens`](Self::tokens).
    pub fn by_word(&self, values: &[f32]) -> Result<Vec<f32>> {
        if values.len() != self.tokens.len() {
            let (expected, found) = (self.tokens.len(), values.len());
            return Err(Error::TokenValueCount { expected, found });
        }
        Ok(self.words.iter().map(|word| values[word.tokens.clone()].iter().sum()).collect())
    }
}
