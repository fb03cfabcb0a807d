//! The interface between explanations and engines: the backward pass and its propagation rules.
//!
//! The default rules yield gradients. The others treat part of an operation as constant, so that the operation
//! conserves relevance, the sum of values times gradients.

use std::ops::AddAssign;

use crate::input::batch::TokenBatch;

/// Propagation rule of each nonlinear operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub attention: AttentionRule,
    pub layer_norm: NormRule,
    pub activation: ActivationRule,
}

impl Rules {
    /// Plain gradients.
    pub const GRADIENT: Self = Self {
        attention: AttentionRule::Gradient,
        layer_norm: NormRule::Gradient,
        activation: ActivationRule::Gradient,
    };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AttentionRule {
    #[default]
    Gradient,
    /// Attention probabilities are constant: all relevance goes to the values (Ali et al. 2022, the AH rule).
    HoldWeights,
    /// Each product splits its relevance evenly between its factors: half goes to the values, a quarter each to
    /// queries and keys (Achtibat et al. 2024).
    Share,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NormRule {
    #[default]
    Gradient,
    /// The standard deviation is constant (Ali et al. 2022, the LN rule).
    HoldDeviation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ActivationRule {
    #[default]
    Gradient,
    /// The quotient of output and input is constant: for GELU, `x · Φ(x)`, it is `Φ(x)`.
    HoldQuotient,
}

/// Relevance that each kind of operation absorbed in a row: the sum of its outputs times their gradients, minus the
/// sum of its inputs times theirs. Together with the tokens' relevances, the shares sum to the logits times their
/// gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shares {
    pub bias: f64,
    pub gelu: f64,
    pub softmax: f64,
    pub layer_norm: f64,
    pub attention: f64,
}

impl AddAssign for Shares {
    fn add_assign(&mut self, other: Self) {
        let Self { bias, gelu, softmax, layer_norm, attention } = other;
        self.bias += bias;
        self.gelu += gelu;
        self.softmax += softmax;
        self.layer_norm += layer_norm;
        self.attention += attention;
    }
}

/// Result of a backward pass over a batch.
pub(crate) struct Attribution {
    /// `[rows, labels]`, bit-identical to the forward pass.
    pub logits: Vec<f32>,
    /// Relevance of each token: the sum of its embedding (normalized, as the first layer reads it) times the gradient.
    pub relevance: Vec<f32>,
    /// Shares of each row.
    pub shares: Vec<Shares>,
}

/// Writes the gradient of the explained quantity with respect to the logits, given a row's index and logits.
pub(crate) type LogitGradient<'a> = &'a (dyn Fn(usize, &[f32], &mut [f32]) + Sync);

/// An engine with a backward pass. Callers have checked that a batch's ids and positions are within the tables.
pub(crate) trait Attribute: Send + Sync {
    /// Runs the forward and the backward pass.
    fn attribute(
        &self,
        batch: &TokenBatch,
        rules: Rules,
        gradient: LogitGradient<'_>,
    ) -> Attribution;

    /// Returns integrated gradients: for each token, the difference from the baseline's embedding times the gradient,
    /// integrated along the path in `steps` steps, at least one. The rows of the baseline are as long as those of
    /// `batch`.
    fn integrate(
        &self,
        batch: &TokenBatch,
        baseline: &TokenBatch,
        steps: usize,
        gradient: LogitGradient<'_>,
    ) -> Vec<f32>;

    /// Returns the attention probabilities of each row, `[layers, heads, queries, keys]`.
    fn attention_weights(&self, batch: &TokenBatch) -> Vec<Vec<f32>>;
}
