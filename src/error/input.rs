//! [`InputError`]: texts, token ids and masks that the model cannot process.

use std::path::PathBuf;

use super::one_line::OneLine;

/// Errors from tokenizing a text, or from a batch that the model cannot process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The tokenizer's files are missing or damaged.
    #[error("cannot load the tokenizer from {}: {}", path.display(), OneLine(reason))]
    Tokenizer {
        /// File, or the model folder.
        path: PathBuf,
        /// Defect that was found.
        reason: String,
    },

    /// A text was given to a model that was loaded from memory without a tokenizer.
    #[error(
        "the model was loaded without a tokenizer: pass token ids, or add tokenizer.json or vocab.txt to its files"
    )]
    NoTokenizer,

    /// The tokenizer failed on a text.
    #[error("cannot tokenize the text: {0}")]
    Encode(String),

    /// A batch has no rows.
    #[error("the batch is empty, expected at least 1 row")]
    EmptyBatch,

    /// A row has no tokens.
    #[error("row {row} is empty, expected at least 1 token")]
    EmptyRow {
        /// Index of the row.
        row: usize,
    },

    /// Padded ids and mask differ in length or do not form whole rows.
    #[error(
        "input_ids and attention_mask should hold the same number of rows of {len} values, found {ids} and {mask} values"
    )]
    PaddedShape {
        /// Number of ids.
        ids: usize,
        /// Number of mask values.
        mask: usize,
        /// Row length as given.
        len: usize,
    },

    /// A mask value is neither 0 nor 1.
    #[error("attention_mask of row {row} should be 0 or 1, found {found} at position {position}")]
    MaskValue {
        /// Index of the row.
        row: usize,
        /// Position in the row.
        position: usize,
        /// Value at that position.
        found: u32,
    },

    /// A padded id or mask value is not a 32-bit unsigned integer.
    #[error(
        "{what} of row {row} should be integers from 0 to {}, found {found} at position {position}",
        u32::MAX
    )]
    NotU32 {
        /// `input_ids` or `attention_mask`.
        what: &'static str,
        /// Index of the row.
        row: usize,
        /// Position in the row.
        position: usize,
        /// Value at that position.
        found: String,
    },

    /// The first token of a row, which the classification head reads, is masked.
    #[error(
        "the first token of row {row} is masked, but the classification head reads it; padding belongs on the right"
    )]
    MaskedFirstToken {
        /// Index of the row.
        row: usize,
    },

    /// Every token of a row is masked.
    #[error("every token of row {row} is masked, expected at least 1 unmasked token")]
    MaskedRow {
        /// Index of the row.
        row: usize,
    },

    /// A token id is not in the model's vocabulary.
    #[error("token id {id} in row {row} should be below the vocabulary size {vocab_size}")]
    TokenId {
        /// Index of the row.
        row: usize,
        /// Token id.
        id: u32,
        /// Vocabulary size of the model.
        vocab_size: usize,
    },

    /// A row has more tokens than the model takes.
    #[error("row {row} has {tokens} tokens, but the model takes at most {limit}")]
    TooManyTokens {
        /// Index of the row.
        row: usize,
        /// Number of tokens, special and masked tokens included.
        tokens: usize,
        /// `max_position_embeddings` of the model, or `model_max_length` of its tokenizer.
        limit: usize,
    },

    /// A text is so long that its tokens were not all counted.
    #[error("row {row} has more than {limit} tokens, but the model takes at most {limit}")]
    TextTooLong {
        /// Index of the text.
        row: usize,
        /// `max_position_embeddings` of the model, or `model_max_length` of its tokenizer.
        limit: usize,
    },

    /// The stride of [`Truncation::Windows`](crate::Truncation::Windows) leaves no room to advance.
    #[error("the stride of windows should be below {limit}, found {stride}")]
    Stride {
        /// Requested stride: the overlap of neighboring windows.
        stride: usize,
        /// Number of text tokens in one window.
        limit: usize,
    },
}

impl InputError {
    /// Returns the error with `first` added to its row, for callers that pass their rows in parts: `first` is the index of the part's
    /// first row. Errors without a row stay as they are.
    ///
    /// ```
    /// use distilbert::InputError;
    ///
    /// let error = InputError::EmptyRow { row: 3 }.in_part(1000);
    /// assert_eq!(error.to_string(), "row 1003 is empty, expected at least 1 token");
    /// ```
    #[must_use]
    pub fn in_part(mut self, first: usize) -> Self {
        match &mut self {
            Self::EmptyRow { row }
            | Self::MaskValue { row, .. }
            | Self::NotU32 { row, .. }
            | Self::MaskedFirstToken { row }
            | Self::MaskedRow { row }
            | Self::TokenId { row, .. }
            | Self::TooManyTokens { row, .. }
            | Self::TextTooLong { row, .. } => *row += first,
            Self::Tokenizer { .. }
            | Self::NoTokenizer
            | Self::Encode(_)
            | Self::EmptyBatch
            | Self::PaddedShape { .. }
            | Self::Stride { .. } => {}
        }
        self
    }
}
