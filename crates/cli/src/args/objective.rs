//! Which of the target's numbers is explained, as the user names it.

use clap::ValueEnum;
use distilbert::explain::Objective;

#[derive(Clone, Copy, ValueEnum)]
pub enum Name {
    Logit,
    Probability,
}

impl From<Name> for Objective {
    fn from(name: Name) -> Self {
        match name {
            Name::Logit => Self::Logit,
            Name::Probability => Self::Probability,
        }
    }
}
