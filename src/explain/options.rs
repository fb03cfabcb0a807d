//! [`ExplainOptions`]: the options of [`Classifier::explain`](crate::Classifier::explain).

use super::method::Method;
use super::objective::{Objective, Target};
#[cfg(feature = "text")]
use crate::input::truncation::Truncation;

/// Options for [`Classifier::explain`](crate::Classifier::explain).
///
/// ```
/// use distilbert::explain::{ExplainOptions, Method, Objective, Target};
///
/// let options = ExplainOptions::default()
///     .method(Method::IntegratedGradients { steps: 50 })
///     .target(Target::against("surprise", "happiness"))
///     .objective(Objective::Probability)
///     .attention(true);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[must_use]
pub struct ExplainOptions {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) objective: Objective,
    pub(super) attention: bool,
    #[cfg(feature = "text")]
    pub(super) truncation: Option<Truncation>,
}

impl ExplainOptions {
    /// Sets the attribution method; by default [`Method::Lrp`].
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the label to explain; by default [`Target::Predicted`].
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Sets the number to explain; by default [`Objective::Logit`].
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// Also returns the attention probabilities if `true`, `layers · heads · tokens²` numbers per text; by default
    /// `false`. Computing them takes another forward pass.
    pub fn attention(mut self, attention: bool) -> Self {
        self.attention = attention;
        self
    }

    /// Sets how texts longer than the model's limit are handled; the default is the setting of
    /// [`ClassifierBuilder::truncation`](crate::ClassifierBuilder::truncation).
    #[cfg(feature = "text")]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = Some(truncation);
        self
    }
}
