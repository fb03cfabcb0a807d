//! [`Truncation`]: fitting texts to the model's position table.

use std::fmt;
use std::str::FromStr;

use super::tokenizer::Tokenizer;
use crate::error::{InputError, Result};
use crate::names::{ParseNameError, impl_serde_as_string, split_parameter};

/// Handling of a text that has more tokens than the model's `max_position_embeddings`.
///
/// `Display` and `FromStr` use the names `right`, `error` and `windows:STRIDE`; `windows` alone has a stride of
/// [`DEFAULT_STRIDE`](Self::DEFAULT_STRIDE).
///
/// ```
/// use distilbert::Truncation;
///
/// assert_eq!("windows:32".parse(), Ok(Truncation::Windows { stride: 32 }));
/// assert_eq!(Truncation::Right.to_string(), "right");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Truncation {
    /// Drops tokens at the end, like `truncation=True` in Hugging Face Transformers.
    /// [`Prediction::dropped_tokens`](crate::Prediction::dropped_tokens) counts them.
    #[default]
    Right,
    /// Rejects the text with [`InputError::TooManyTokens`].
    Error,
    /// Classifies overlapping windows and averages their logits and scores, weighted by the number of text tokens in
    /// each window.
    Windows {
        /// Number of tokens that a window shares with the one before, called `stride` in Hugging Face Transformers.
        stride: usize,
    },
}

impl Truncation {
    /// Stride of [`Windows`](Self::Windows) if the name gives none.
    pub const DEFAULT_STRIDE: usize = 64;

    /// Every kind of truncation, windows with the default stride.
    pub const ALL: &'static [Self] =
        &[Self::Right, Self::Error, Self::Windows { stride: Self::DEFAULT_STRIDE }];

    /// Returns the name without the stride: `right`, `error` or `windows`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Error => "error",
            Self::Windows { .. } => "windows",
        }
    }
}

impl fmt::Display for Truncation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows { stride } => write!(formatter, "windows:{stride}"),
            _ => formatter.pad(self.name()),
        }
    }
}

impl FromStr for Truncation {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let value = match split_parameter(text) {
            ("right", None) => Some(Self::Right),
            ("error", None) => Some(Self::Error),
            ("windows", None) => Some(Self::Windows { stride: Self::DEFAULT_STRIDE }),
            ("windows", Some(stride)) => stride.parse().ok().map(|stride| Self::Windows { stride }),
            _ => None,
        };
        let names = &["right", "error", "windows", "windows:STRIDE"];
        value.ok_or_else(|| ParseNameError::new("truncation", text, names))
    }
}

impl_serde_as_string!(Truncation);

/// Token rows of one text, fitted to the model.
pub(crate) struct FittedText {
    /// Ids with special tokens: one row, or one per window.
    pub rows: Vec<Vec<u32>>,
    /// Number of text tokens in each row.
    pub text_tokens: Vec<usize>,
    /// Number of tokens of the whole text, special tokens included.
    pub tokens: usize,
    /// Number of tokens cut off at the end.
    pub dropped_tokens: usize,
}

impl Tokenizer {
    /// Fits a text's ids to a model that takes `limit` tokens; `row` is the text's index in errors.
    pub(crate) fn fit(
        &self,
        row: usize,
        ids: &[u32],
        limit: usize,
        truncation: Truncation,
    ) -> Result<FittedText, InputError> {
        let tokens = ids.len() + self.special_tokens();
        let too_many = || InputError::TooManyTokens { row, tokens, limit };
        // If the special tokens alone exceed the limit, no truncation helps.
        let room = limit.checked_sub(self.special_tokens()).ok_or_else(too_many)?;
        let windows: Vec<&[u32]> = match truncation {
            Truncation::Windows { stride } if stride >= room => {
                return Err(InputError::Stride { stride, limit: room });
            }
            Truncation::Windows { stride } => {
                let step = room - stride;
                let count = ids.len().saturating_sub(room).div_ceil(step) + 1;
                (0..count).map(|i| &ids[i * step..ids.len().min(i * step + room)]).collect()
            }
            Truncation::Error if ids.len() > room => return Err(too_many()),
            Truncation::Right | Truncation::Error => vec![&ids[..ids.len().min(room)]],
        };
        let dropped_tokens = match truncation {
            Truncation::Windows { .. } => 0,
            Truncation::Right | Truncation::Error => ids.len() - windows[0].len(),
        };
        Ok(FittedText {
            rows: windows.iter().map(|ids| self.with_special_tokens(ids)).collect(),
            text_tokens: windows.iter().map(|ids| ids.len()).collect(),
            tokens,
            dropped_tokens,
        })
    }
}
