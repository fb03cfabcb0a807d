//! [`Method`]: attribution methods.

use std::fmt;
use std::str::FromStr;

use crate::attribution::{ActivationRule, AttentionRule, NormRule, Rules};
use crate::error::{ExplainError, Result};
use crate::names::{ParseNameError, impl_serde_as_string, split_parameter};

/// Method that distributes relevance over the tokens.
///
/// `Display` and `FromStr` use the names `gradient-x-input`, `lrp`, `attnlrp` and `integrated-gradients:STEPS`;
/// `integrated-gradients` alone takes [`DEFAULT_STEPS`](Self::DEFAULT_STEPS).
///
/// ```
/// use distilbert::explain::Method;
///
/// let method: Method = "integrated-gradients:20".parse()?;
/// assert_eq!(method, Method::IntegratedGradients { steps: 20 });
/// assert_eq!(method.name(), "integrated-gradients");
/// # Ok::<(), distilbert::ParseNameError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Gradient times input: the effect of a small change, extrapolated linearly.
    GradientXInput,
    /// Layer-wise relevance propagation with the rules of Ali et al. (2022, arXiv 2202.07304) and the identity rule
    /// for GELU.
    ///
    /// Attention probabilities, the standard deviation in layer normalization and the ratio of GELU's output to its
    /// input are treated as constants, so that only biases absorb relevance.
    #[default]
    Lrp,
    /// AttnLRP (Achtibat et al. 2024, arXiv 2402.05602): like [`Lrp`](Self::Lrp), but queries and keys get a quarter
    /// of attention's relevance each, and values half.
    AttnLrp,
    /// Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365), from a baseline with `[PAD]` in place of
    /// every text token, by Gauss–Legendre quadrature.
    ///
    /// Each step is a point on the path and costs a forward and a backward pass. Jumps in the gradient
    /// where a unit of the head's ReLU switches on or off are located and corrected for; those of ReLU in the
    /// feed-forward networks are not.
    IntegratedGradients {
        /// Number of points on the path, from 1 to [`Method::MAX_STEPS`]. 50 is common; with 100, all but 1e-4 of the
        /// logit was explained for each of a hundred texts by the emotion model in this crate's repository.
        steps: usize,
    },
}

impl Method {
    /// Number of steps of [`IntegratedGradients`](Self::IntegratedGradients) if the name gives none.
    pub const DEFAULT_STEPS: usize = 50;

    /// Maximum number of steps of [`IntegratedGradients`](Self::IntegratedGradients). A hundred suffice for most texts;
    /// long before ten thousand, the only unexplained remainder is rounding error.
    pub const MAX_STEPS: usize = 10_000;

    /// Every method; integrated gradients have the default number of steps.
    pub const ALL: &'static [Self] = &[
        Self::Lrp,
        Self::AttnLrp,
        Self::GradientXInput,
        Self::IntegratedGradients { steps: Self::DEFAULT_STEPS },
    ];

    /// Returns the name without the number of steps, such as `integrated-gradients`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GradientXInput => "gradient-x-input",
            Self::Lrp => "lrp",
            Self::AttnLrp => "attnlrp",
            Self::IntegratedGradients { .. } => "integrated-gradients",
        }
    }

    /// Checks the method's parameters.
    pub(super) fn check(self) -> Result<(), ExplainError> {
        match self {
            Self::IntegratedGradients { steps: 0 } => Err(ExplainError::NoSteps),
            Self::IntegratedGradients { steps } if steps > Self::MAX_STEPS => {
                Err(ExplainError::TooManySteps { found: steps, limit: Self::MAX_STEPS })
            }
            _ => Ok(()),
        }
    }

    /// Returns the rules of one backward pass.
    pub(super) fn rules(self) -> Rules {
        let propagation = |attention| Rules {
            attention,
            layer_norm: NormRule::HoldDeviation,
            activation: ActivationRule::HoldQuotient,
        };
        match self {
            Self::GradientXInput | Self::IntegratedGradients { .. } => Rules::GRADIENT,
            Self::Lrp => propagation(AttentionRule::HoldWeights),
            Self::AttnLrp => propagation(AttentionRule::Share),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IntegratedGradients { steps } => {
                write!(formatter, "integrated-gradients:{steps}")
            }
            _ => formatter.pad(self.name()),
        }
    }
}

impl FromStr for Method {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let integrated = |steps| Self::IntegratedGradients { steps };
        let value = match split_parameter(text) {
            ("gradient-x-input", None) => Some(Self::GradientXInput),
            ("lrp", None) => Some(Self::Lrp),
            ("attnlrp" | "attn-lrp", None) => Some(Self::AttnLrp),
            ("integrated-gradients", None) => Some(integrated(Self::DEFAULT_STEPS)),
            ("integrated-gradients", Some(steps)) => steps.parse().ok().map(integrated),
            _ => None,
        };
        let names = &[
            "lrp",
            "attnlrp",
            "gradient-x-input",
            "integrated-gradients",
            "integrated-gradients:STEPS",
        ];
        value.ok_or_else(|| ParseNameError::new("method", text, names))
    }
}

impl_serde_as_string!(Method);
