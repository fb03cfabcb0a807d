//! [`Row`]: the tokens and words of a row before the backward pass.

#[cfg(feature = "text")]
use std::ops::Range;

use super::explanation::{Token, Word};
#[cfg(feature = "text")]
use super::words::{Characters, words};
#[cfg(feature = "text")]
use crate::classifier::Classifier;
#[cfg(feature = "text")]
use crate::error::{ExplainError, Result};
use crate::input::cut::Cut;
#[cfg(feature = "text")]
use crate::input::truncation::{Fitting, Truncation};

/// Tokens and words of a row, with zero relevances until they are set.
#[derive(Clone, Default)]
pub(super) struct Row {
    pub text: String,
    pub tokens: Vec<Token>,
    pub words: Vec<Word>,
    pub cut: Option<Cut>,
}

impl Row {
    /// Makes a row from token ids. The first and the last one are special tokens; each of the others is a word, written
    /// as its id.
    pub fn from_ids(ids: &[u32]) -> Self {
        let mut row = Self::default();
        for (index, &id) in ids.iter().enumerate() {
            row.push_id(id, index > 0 && index + 1 < ids.len());
        }
        row
    }

    fn push_id(&mut self, id: u32, is_word: bool) {
        let text = id.to_string();
        let mut bytes = 0..0;
        if is_word {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            bytes = self.text.len()..self.text.len() + text.len();
            self.text += &text;
            self.words.push(Word {
                text: text.clone(),
                start: bytes.start,
                end: bytes.end,
                bytes: bytes.clone(),
                tokens: self.tokens.len()..self.tokens.len() + 1,
                relevance: 0.0,
            });
        }
        let (start, end) = (bytes.start, bytes.end);
        self.tokens.push(Token { id, text, start, end, bytes, relevance: 0.0 });
    }

    /// Sets the relevances of the tokens, and those of the words to the sums over their tokens.
    pub fn set_relevances(&mut self, relevances: &[f32]) {
        for (token, &relevance) in self.tokens.iter_mut().zip(relevances) {
            token.relevance = relevance;
        }
        for word in &mut self.words {
            let pieces = relevances[word.tokens.clone()].iter();
            word.relevance = pieces.map(|&piece| f64::from(piece)).sum::<f64>() as f32;
        }
    }
}

#[cfg(feature = "text")]
impl Classifier {
    /// Tokenizes a text and fits it to the model; `index` is the text's index in errors.
    pub(super) fn explainable_row(
        &self,
        index: usize,
        text: &str,
        truncation: Option<Truncation>,
    ) -> Result<Row> {
        let tokenizer = self.tokenizer()?;
        let fitting = self.fitting(index, truncation);
        let truncation = match fitting.truncation {
            // A second window is enough to know that there are several.
            Truncation::Windows { stride, .. } => {
                Truncation::Windows { stride, max_windows: Some(2) }
            }
            other => other,
        };
        let fitted = self.fit(text, Fitting { truncation, places: true, ..fitting })?;
        if fitted.windows.len() > 1 {
            let (tokens, limit) = (fitted.total, fitting.limit);
            return Err(ExplainError::ManyWindows { row: index, tokens, limit }.into());
        }
        let (before, kept) = (tokenizer.special_tokens_before(), &fitted.kept);
        let characters = Characters::new(text);
        let token = |(position, id): (usize, u32)| {
            let place = position.checked_sub(before).filter(|&place| place < kept.ids.len());
            let (text, bytes) = match place {
                Some(place) => (kept.tokens[place].clone(), kept.bytes[place].clone()),
                None => (tokenizer.spelling(id), 0..0),
            };
            let Range { start, end } = characters.of(&bytes);
            Token { id, text, start, end, bytes, relevance: 0.0 }
        };
        let ids = tokenizer.with_special_tokens(&kept.ids);
        Ok(Row {
            text: text.to_owned(),
            tokens: ids.into_iter().enumerate().map(token).collect(),
            words: words(kept, &characters, before),
            cut: fitted.cut,
        })
    }
}
