//! What is done with a text longer than the model takes.

use clap::{Args, ValueEnum};
use distilbert::Truncation;

/// Tokens that windows share unless `--stride` says otherwise.
const STRIDE: usize = 64;

#[derive(Args)]
pub struct LongTexts {
    /// What to do with a text longer than the model takes
    #[arg(long, value_name = "HOW", value_enum, default_value_t = How::Right)]
    truncation: How,

    /// Tokens that neighbouring windows share [default: 64]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum How {
    /// Leave out what is too much at the end, and say how much
    Right,
    /// Refuse the text
    Error,
    /// Classify overlapping windows and average them
    Windows,
}

impl LongTexts {
    /// What the options come to, or why they cannot be followed.
    pub fn truncation(&self) -> Result<Truncation, &'static str> {
        match (self.truncation, self.stride) {
            (How::Windows, stride) => Ok(Truncation::Windows { stride: stride.unwrap_or(STRIDE) }),
            (_, Some(_)) => Err("--stride needs --truncation windows"),
            (How::Error, None) => Ok(Truncation::Error),
            (How::Right, None) => Ok(Truncation::Right),
        }
    }
}
