//! [`Variants`]: copies of a text with words replaced, computed as one batch.

use std::collections::HashMap;

use super::explanation::Explanation;
use crate::classifier::Classifier;
use crate::error::{ExplainError, Result};
use crate::input::batch::TokenBatch;
use crate::names::impl_names;
use crate::prediction::Prediction;

/// Replacement for a word that is removed from a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replacement {
    /// `[PAD]` for each of its tokens. The model attends to it, and the text keeps its length.
    #[default]
    Pad,
    /// `[UNK]` for each of its tokens.
    #[cfg(feature = "text")]
    Unk,
    /// `[MASK]` for each of its tokens.
    #[cfg(feature = "text")]
    Mask,
    /// No token: later tokens move up.
    Delete,
}

impl_names!(Replacement, "replacement", {
    Pad => "pad",
    #[cfg(feature = "text")]
    Unk => "unk",
    #[cfg(feature = "text")]
    Mask => "mask",
    Delete => "delete",
});

impl Replacement {
    /// Returns the id of the replacement token; `None` if tokens are deleted.
    fn id(self, classifier: &Classifier) -> Result<Option<u32>, ExplainError> {
        #[cfg(feature = "text")]
        let named = |token: &str| {
            let id = classifier.tokenizer().ok().and_then(|tokenizer| tokenizer.id(token));
            // A token that the tokenizer adds to the vocabulary has no embedding.
            let id = id.filter(|&id| (id as usize) < classifier.config().vocab_size);
            id.map(Some).ok_or_else(|| ExplainError::NoToken { token: token.to_owned() })
        };
        match self {
            Self::Pad => Ok(Some(classifier.config().pad_token_id)),
            #[cfg(feature = "text")]
            Self::Unk => named("[UNK]"),
            #[cfg(feature = "text")]
            Self::Mask => named("[MASK]"),
            Self::Delete => Ok(None),
        }
    }
}

/// Variants of one explained text. Each distinct variant is computed once, and all of them run as one packed batch.
pub(super) struct Variants<'a> {
    classifier: &'a Classifier,
    explanation: &'a Explanation,
    replacement: Option<u32>,
    batch: TokenBatch,
    /// Row of each variant; the key has one element per word, `true` if it is replaced.
    rows: HashMap<Vec<bool>, usize>,
}

impl<'a> Variants<'a> {
    pub fn new(
        classifier: &'a Classifier,
        explanation: &'a Explanation,
        replacement: Replacement,
    ) -> Result<Self> {
        if classifier.labels() != explanation.prediction.labels() {
            return Err(ExplainError::OtherModel {
                expected: explanation.prediction.labels().to_vec(),
                found: classifier.labels().to_vec(),
            }
            .into());
        }
        Ok(Self {
            classifier,
            explanation,
            replacement: replacement.id(classifier)?,
            batch: TokenBatch::default(),
            rows: HashMap::new(),
        })
    }

    /// Adds the variant without these words, unless it exists, and returns the index of its prediction.
    pub fn without(&mut self, words: &[usize]) -> usize {
        let mut is_replaced = vec![false; self.explanation.words.len()];
        words.iter().for_each(|&word| is_replaced[word] = true);
        if let Some(&row) = self.rows.get(&is_replaced) {
            return row;
        }
        let Explanation { tokens, positions, words, .. } = self.explanation;
        let mut row: Vec<Option<u32>> = tokens.iter().map(|token| Some(token.id)).collect();
        for (word, _) in words.iter().zip(&is_replaced).filter(|pair| *pair.1) {
            row[word.tokens.clone()].fill(self.replacement);
        }
        // Later tokens take the positions of deleted ones.
        let remaining = row.into_iter().flatten().zip(positions.iter().copied());
        self.batch.push_row(remaining);
        let index = self.rows.len();
        self.rows.insert(is_replaced, index);
        index
    }

    /// Computes the predictions of all variants.
    pub fn predictions(self) -> Result<Vec<Prediction>> {
        self.classifier.classify_tokens_exactly(&self.batch)
    }
}
