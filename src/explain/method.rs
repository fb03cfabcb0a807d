//! [`Method`]: how relevance is shared out.

use std::fmt;

use crate::attribution::{ActivationRule, AttentionRule, NormRule, Rules};
use crate::error::{Error, Result};

/// How relevance is shared out among the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// The gradient times the input: what a small change does, in proportion.
    GradientXInput,
    /// Layer-wise relevance propagation with the rules of Ali et al. (2022, arXiv 2202.07304) and the
    /// identity rule for GELU: attention's weights, layer normalisation's deviation and GELU's quotient
    /// of output and input are held constant, so that biases alone take relevance away.
    #[default]
    Lrp,
    /// AttnLRP (Achtibat et al. 2024, arXiv 2402.05602): as [`Lrp`](Self::Lrp), but queries and keys get
    /// a quarter each of attention's relevance, and values half.
    AttnLrp,
    /// Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) from the same text with every
    /// token `[PAD]`, by Gauss's rule: each step is a point on the way, and costs a forward and a
    /// backward pass. Where a unit of the head's ReLU switches on the way is found and allowed for; feed-forward
    /// layers with ReLU have no such help.
    IntegratedGradients {
        /// Points on the way, at least 1; 50 are usual, and with 100 all of the bundled model's logit but
        /// 1e-4 was explained for each of a hundred texts.
        steps: usize,
    },
}

impl Method {
    /// The name in papers, as `--method` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradientXInput => "gradient-x-input",
            Self::Lrp => "lrp",
            Self::AttnLrp => "attnlrp",
            Self::IntegratedGradients { .. } => "integrated-gradients",
        }
    }

    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::IntegratedGradients { steps: 0 } => Err(Error::NoSteps),
            _ => Ok(()),
        }
    }

    /// The rules of one backward pass.
    pub(super) fn rules(self) -> Rules {
        let held = |attention| Rules {
            attention,
            layer_norm: NormRule::HoldDeviation,
            activation: ActivationRule::HoldQuotient,
        };
        match self {
            Self::GradientXInput | Self::IntegratedGradients { .. } => Rules::GRADIENT,
            Self::Lrp => held(AttentionRule::HoldWeights),
            Self::AttnLrp => held(AttentionRule::Share),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
