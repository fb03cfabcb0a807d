//! [`Truncation`]: fitting texts to the model's limit.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::cut::{Cut, TruncationSide};
use super::tokenizer::{Excerpt, Tokenizer};
use crate::error::{InputError, Result};
use crate::names::{ParseNameError, impl_serde_as_string, split_parameter};

/// Handling of a text that has more tokens than [`Classifier::max_tokens`](crate::Classifier::max_tokens).
///
/// A text is cut while it is tokenized, so a long text costs no more than the tokens that are kept. A prediction says
/// [where](crate::Prediction::cut) its text was cut.
///
/// `Display` and `FromStr` use the names `auto`, `right`, `left`, `error` and `windows:STRIDE` or
/// `windows:STRIDE,MAX`; `windows` alone has a stride of [`DEFAULT_STRIDE`](Self::DEFAULT_STRIDE) and no maximum.
///
/// ```
/// use distilbert::Truncation;
///
/// let windows = Truncation::Windows { stride: 32, max_windows: None };
/// assert_eq!("windows:32".parse(), Ok(windows));
/// let windows = Truncation::Windows { stride: 32, max_windows: Some(8) };
/// assert_eq!("windows:32,8".parse(), Ok(windows));
/// assert_eq!(Truncation::Right.to_string(), "right");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Truncation {
    /// Drops tokens at the checkpoint's [`truncation_side`](Tokenizer::truncation_side), like `truncation=True` in
    /// Hugging Face Transformers.
    #[default]
    Auto,
    /// Drops tokens at the end.
    Right,
    /// Drops tokens at the beginning.
    Left,
    /// Rejects the text with [`InputError::TooManyTokens`] or [`InputError::TextTooLong`].
    Error,
    /// Classifies overlapping windows and averages their logits and scores, weighted by the number of text tokens in
    /// each window.
    Windows {
        /// Number of tokens that a window shares with the previous one, called `stride` in Hugging Face Transformers.
        stride: usize,
        /// Maximum number of windows, after which the text is cut; 0 counts as 1. Without a maximum, the time that a
        /// text takes grows with its length.
        max_windows: Option<usize>,
    },
}

impl Truncation {
    /// Stride of [`Windows`](Self::Windows) if the name gives none.
    pub const DEFAULT_STRIDE: usize = 64;

    /// Every kind of truncation, windows with the default stride and without a maximum.
    pub const ALL: &'static [Self] = &[
        Self::Auto,
        Self::Right,
        Self::Left,
        Self::Error,
        Self::Windows { stride: Self::DEFAULT_STRIDE, max_windows: None },
    ];

    /// Returns the name without parameters: `auto`, `right`, `left`, `error` or `windows`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Right => "right",
            Self::Left => "left",
            Self::Error => "error",
            Self::Windows { .. } => "windows",
        }
    }
}

impl fmt::Display for Truncation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Windows { stride, max_windows: None } => write!(formatter, "windows:{stride}"),
            Self::Windows { stride, max_windows: Some(max) } => {
                write!(formatter, "windows:{stride},{max}")
            }
            _ => formatter.pad(self.name()),
        }
    }
}

impl FromStr for Truncation {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let value = match split_parameter(text) {
            ("auto", None) => Some(Self::Auto),
            ("right", None) => Some(Self::Right),
            ("left", None) => Some(Self::Left),
            ("error", None) => Some(Self::Error),
            ("windows", None) => {
                Some(Self::Windows { stride: Self::DEFAULT_STRIDE, max_windows: None })
            }
            ("windows", Some(parameters)) => parse_windows(parameters),
            _ => None,
        };
        let names =
            &["auto", "right", "left", "error", "windows", "windows:STRIDE", "windows:STRIDE,MAX"];
        value.ok_or_else(|| ParseNameError::new("truncation", text, names))
    }
}

/// Parses `STRIDE` or `STRIDE,MAX`.
fn parse_windows(parameters: &str) -> Option<Truncation> {
    let (stride, max_windows) = match parameters.split_once(',') {
        None => (parameters, None),
        Some((stride, max)) => (stride, Some(max.parse().ok()?)),
    };
    Some(Truncation::Windows { stride: stride.parse().ok()?, max_windows })
}

impl_serde_as_string!(Truncation);

/// Limits for one text.
#[derive(Clone, Copy)]
pub(crate) struct Fitting {
    /// Index of the text in errors.
    pub row: usize,
    /// Number of tokens that the model takes, special tokens included.
    pub limit: usize,
    pub truncation: Truncation,
    /// `true` if dropped tokens are counted even if that costs more than the prediction.
    pub counts_dropped: bool,
    /// `true` if the places of the tokens in the text are needed.
    #[cfg_attr(not(feature = "explain"), allow(dead_code, reason = "for explanations"))]
    pub places: bool,
}

/// Tokens of one text, fitted to the model.
pub(crate) struct FittedText {
    /// Tokens that the model reads, without special tokens; only the ids if the places are not needed.
    pub kept: Excerpt,
    /// Ranges of the tokens: the only row, or the windows.
    pub windows: Vec<Range<usize>>,
    pub cut: Option<Cut>,
    /// Number of tokens of the whole text, special tokens included; `None` if they were not counted.
    #[cfg_attr(not(feature = "explain"), allow(dead_code, reason = "for explanations"))]
    pub total: Option<usize>,
}

impl FittedText {
    /// Returns the rows of token ids, with special tokens.
    pub fn rows(&self, tokenizer: &Tokenizer) -> impl Iterator<Item = Vec<u32>> {
        let windows = self.windows.iter();
        windows.map(|window| tokenizer.with_special_tokens(&self.kept.ids[window.clone()]))
    }

    /// Returns the number of tokens that the model reads, special tokens included. Tokens that several windows share
    /// count once.
    pub fn tokens(&self, tokenizer: &Tokenizer) -> usize {
        self.kept.ids.len() + tokenizer.special_tokens()
    }
}

impl Tokenizer {
    /// Tokenizes a text and fits it to a model.
    pub(crate) fn fit(&self, text: &str, fitting: Fitting) -> Result<FittedText, InputError> {
        let Fitting { row, limit, truncation, .. } = fitting;
        let special = self.special_tokens();
        // If the special tokens alone exceed the limit, no truncation helps.
        let Some(room) = limit.checked_sub(special) else {
            let tokens = self.excerpt(text, TruncationSide::Right, 1)?.ids.len() + special;
            return Err(InputError::TooManyTokens { row, tokens, limit });
        };
        let (step, most) = match truncation {
            Truncation::Windows { stride, .. } if stride >= room => {
                return Err(InputError::Stride { stride, limit: room });
            }
            Truncation::Windows { stride, max_windows } => {
                let more = max_windows.map_or(usize::MAX, |max| max.max(1) - 1);
                (room - stride, more.saturating_mul(room - stride).saturating_add(room))
            }
            _ => (1, room),
        };
        let mut kept = self.tokens_for(text, fitting, most)?;
        let total = kept.is_whole.then(|| kept.ids.len() + special);
        let mut cut = None;
        if kept.ids.len() > most {
            if truncation == Truncation::Error {
                return Err(match total {
                    Some(tokens) => InputError::TooManyTokens { row, tokens, limit },
                    None => InputError::TextTooLong { row, limit },
                });
            }
            cut = Some(self.cut(text, &mut kept, self.side(truncation), most));
        }
        let len = kept.ids.len();
        let count = len.saturating_sub(room).div_ceil(step) + 1;
        let windows =
            (0..count).map(|index| index * step..len.min((index * step).saturating_add(room)));
        Ok(FittedText { windows: windows.collect(), kept, cut, total })
    }

    fn side(&self, truncation: Truncation) -> TruncationSide {
        match truncation {
            Truncation::Auto => self.truncation_side(),
            Truncation::Left => TruncationSide::Left,
            Truncation::Right | Truncation::Error | Truncation::Windows { .. } => {
                TruncationSide::Right
            }
        }
    }

    /// Returns the tokens of a text, or more than `most` of them.
    fn tokens_for(&self, text: &str, fitting: Fitting, most: usize) -> Result<Excerpt, InputError> {
        if !fitting.places
            && let Some(ids) = self.ids_of_short(text, most)?
        {
            return Ok(Excerpt { ids, is_whole: true, ..Excerpt::default() });
        }
        if fitting.counts_dropped {
            return self.whole(text);
        }
        self.excerpt(text, self.side(fitting.truncation), most.saturating_add(1))
    }

    /// Drops all but `most` tokens.
    fn cut(&self, text: &str, tokens: &mut Excerpt, side: TruncationSide, most: usize) -> Cut {
        let len = tokens.ids.len();
        let dropped_tokens = tokens.is_whole.then_some(len - most);
        let (kept, first) = match side {
            TruncationSide::Right => (0..most, most),
            TruncationSide::Left => (len - most..len, len - most),
        };
        let at = tokens.bytes.get(first).map_or(text.len(), |bytes| bytes.start);
        tokens.keep(kept);
        Cut::new(side, text[..at].chars().count(), dropped_tokens)
    }
}
