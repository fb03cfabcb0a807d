//! Options of explanations, and the names of methods, objectives and replacements.

use clap::Args;
use clap::builder::PossibleValue;
use distilbert::explain::{Method, Objective, Replacement};
use distilbert_evaluate::Ranking;

use super::named::{Named, named, value};

/// Explained number, and the cost of integrated gradients.
#[derive(Args)]
pub struct ExplanationOptions {
    /// Number of steps for integrated gradients [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    steps: Option<u16>,

    /// Output to explain
    #[arg(long, value_name = "OBJECTIVE", value_parser = named::<Objective>(),
        default_value_t = Objective::Logit)]
    pub objective: Objective,
}

impl ExplanationOptions {
    /// Returns the method with the requested number of steps.
    pub fn with_steps(&self, method: Method) -> Method {
        match (method, self.steps) {
            (Method::IntegratedGradients { .. }, Some(steps)) => {
                Method::IntegratedGradients { steps: steps.into() }
            }
            _ => method,
        }
    }

    /// Returns `true` if a number of steps was given.
    pub fn has_steps(&self) -> bool {
        self.steps.is_some()
    }
}

impl Named for Method {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        let help = match self {
            Self::Lrp => {
                "layer-wise relevance propagation, with attention probabilities held constant"
            }
            Self::AttnLrp => "layer-wise relevance propagation, also through queries and keys",
            Self::GradientXInput => "gradient times input",
            Self::IntegratedGradients { .. } => {
                "gradient averaged along the path from an all-[PAD] baseline, times the difference from it"
            }
            _ => "",
        };
        let value = value(self.name(), help);
        if self == Self::AttnLrp { value.alias("attn-lrp") } else { value }
    }
}

impl Named for Objective {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        let help = match self {
            Self::Logit => "the label's logit, or the predicted value of a regression model",
            Self::Probability => "probability of the label",
            _ => "",
        };
        value(self.name(), help)
    }
}

impl Named for Replacement {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        let help = match self {
            Self::Pad => "[PAD] for each token of the word",
            Self::Unk => "[UNK] for each token of the word",
            Self::Mask => "[MASK] for each token of the word",
            Self::Delete => "nothing: later tokens move up",
            _ => "",
        };
        value(self.name(), help)
    }
}

impl Named for Ranking {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn possible_value(self) -> PossibleValue {
        match self {
            Self::Method(method) => method.possible_value(),
            Self::Rollout => value(self.name(), "attention rollout"),
            Self::Random => value(self.name(), "random order, as a baseline"),
            _ => value(self.name(), ""),
        }
    }
}
