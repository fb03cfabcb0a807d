//! What stands in for words that are taken away, as the user names it.

use clap::ValueEnum;
use distilbert::explain::Replacement;

#[derive(Clone, Copy, ValueEnum)]
pub enum Name {
    /// `[PAD]` for each of their tokens
    Pad,
    /// `[UNK]` for each of their tokens
    Unk,
    /// `[MASK]` for each of their tokens
    Mask,
    /// Nothing: what follows moves up
    Delete,
}

impl From<Name> for Replacement {
    fn from(name: Name) -> Self {
        match name {
            Name::Pad => Self::Pad,
            Name::Unk => Self::Unk,
            Name::Mask => Self::Mask,
            Name::Delete => Self::Delete,
        }
    }
}
