//! Options for texts that exceed the model's token limit.

use clap::Args;
use clap::builder::PossibleValue;
use distilbert::Truncation;

use super::named::{Named, named, value};
use crate::failure::Failure;

/// Handling of texts that exceed the model's token limit.
#[derive(Args)]
pub struct LongTextOptions {
    /// How to handle a text that exceeds the model's token limit
    #[arg(long, value_name = "METHOD", value_parser = named::<Truncation>(),
        default_value_t = Truncation::Right)]
    truncation: Truncation,

    /// Number of tokens shared by neighboring windows [default: 64]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
}

impl Named for Truncation {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        let help = match self {
            Self::Right => "cut off the end, and report how many tokens were dropped",
            Self::Error => "reject the text",
            Self::Windows { .. } => "classify overlapping windows and average their scores",
            _ => "",
        };
        value(self.name(), help)
    }
}

impl LongTextOptions {
    /// Returns the requested truncation.
    ///
    /// # Errors
    /// [`Failure::Usage`] if `--stride` is given without windows.
    pub fn truncation(&self) -> Result<Truncation, Failure> {
        match (self.truncation, self.stride) {
            (Truncation::Windows { .. }, Some(stride)) => Ok(Truncation::Windows { stride }),
            (_, Some(_)) => Err(Failure::Usage("--stride requires --truncation windows")),
            (truncation, None) => Ok(truncation),
        }
    }
}
