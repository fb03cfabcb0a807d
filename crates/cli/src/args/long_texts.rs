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
        default_value_t = Truncation::Auto)]
    truncation: Truncation,

    /// Number of tokens shared by neighboring windows [default: 64]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,

    /// Maximum number of windows per text; the rest of the text is cut off [default: no maximum]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_windows: Option<u32>,
}

impl Named for Truncation {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        let help = match self {
            Self::Auto => "cut on the side that the checkpoint specifies, and report it",
            Self::Right => "cut off the end",
            Self::Left => "cut off the beginning",
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
    /// [`Failure::Usage`] if `--stride` or `--max-windows` is given without windows.
    pub fn truncation(&self) -> Result<Truncation, Failure> {
        match self.truncation {
            Truncation::Windows { stride, .. } => Ok(Truncation::Windows {
                stride: self.stride.unwrap_or(stride),
                max_windows: self.max_windows.map(|max| max as usize),
            }),
            _ if self.stride.is_some() => {
                Err(Failure::Usage("--stride requires --truncation windows"))
            }
            _ if self.max_windows.is_some() => {
                Err(Failure::Usage("--max-windows requires --truncation windows"))
            }
            truncation => Ok(truncation),
        }
    }
}
