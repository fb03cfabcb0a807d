//! [`Cut`]: the part of a text that a model did not read.

use crate::names::impl_names;

/// End of a text from which tokens are dropped, called `truncation_side` in Hugging Face Transformers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TruncationSide {
    /// The end of the text is dropped.
    #[default]
    Right,
    /// The beginning of the text is dropped.
    Left,
}

impl_names!(TruncationSide, "truncation side", {
    Right => "right",
    Left => "left",
});

/// Part of a text that was not read because the text exceeds the model's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Cut {
    /// End of the text that was not read.
    pub side: TruncationSide,
    /// Position of the cut, in characters (Unicode scalar values) from the beginning of the text: the start of the
    /// first token that was not read or, if the beginning was dropped, that of the first token that was read.
    pub at: usize,
    /// Number of tokens that were not read; `None` if they were not counted.
    pub dropped_tokens: Option<usize>,
}

impl Cut {
    // Public for the tests of other crates of the workspace.
    #[doc(hidden)]
    pub fn new(side: TruncationSide, at: usize, dropped_tokens: Option<usize>) -> Self {
        Self { side, at, dropped_tokens }
    }
}
