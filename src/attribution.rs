//! [`Attribute`]: the interface of the backward pass, and the rules by which it differentiates nonlinear operations.
//!
//! With the default rules, the pass computes gradients. The other rules treat part of an operation as constant, so that
//! the operation conserves relevance, the sum of values times gradients.

use std::ops::AddAssign;

use crate::input::batch::TokenBatch;

/// Rules for differentiating the nonlinear operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub attention: AttentionRule,
    pub layer_norm: NormRule,
    pub activation: ActivationRule,
}

impl Rules {
    /// Rules that give the exact gradient.
    pub const GRADIENT: Self = Self {
        attention: AttentionRule::Gradient,
        layer_norm: NormRule::Gradient,
        activation: ActivationRule::Gradient,
    };
}

/// Rule for the matrix products and the softmax of attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AttentionRule {
    #[default]
    Gradient,
    /// Attention probabilities are constants, so all relevance goes to the values (Ali et al. 2022, the AH rule).
    HoldWeights,
    /// Each matrix product splits relevance evenly between its factors, so half goes to the values and a quarter each
    /// to queries and keys (Achtibat et al. 2024).
    Share,
}

/// Rule for layer normalization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NormRule {
    #[default]
    Gradient,
    /// The standard deviation is a constant (Ali et al. 2022, the LN rule).
    HoldDeviation,
}

/// Rule for the activation function of the feed-forward networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ActivationRule {
    #[default]
    Gradient,
    /// The quotient of output and input is a constant: `Φ(x)` for the GELU `x · Φ(x)`.
    HoldQuotient,
}

/// Relevance that each kind of operation absorbs in one row: the sum of its outputs times their gradients, minus the
/// sum of its inputs times their gradients.
///
/// The shares and the relevances of the row's tokens add up to the logits times their gradients.
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
    /// Logits, row-major `[rows, labels]`, bit-identical to those of the forward pass.
    pub logits: Vec<f32>,
    /// Relevance of each token: the dot product of its normalized embedding, the first layer's input, and the gradient.
    pub relevance: Vec<f32>,
    /// Shares of each row.
    pub shares: Vec<Shares>,
}

/// Function that writes the gradient of the explained number with respect to the logits, given a row's index and
/// logits.
pub(crate) type LogitGradient<'a> = &'a (dyn Fn(usize, &[f32], &mut [f32]) + Sync);

/// Engine with a backward pass. Callers check batches against the embedding tables first.
pub(crate) trait Attribute: Send + Sync {
    /// Runs a forward and a backward pass.
    fn attribute(
        &self,
        batch: &TokenBatch,
        rules: Rules,
        gradient: LogitGradient<'_>,
    ) -> Attribution;

    /// Computes integrated gradients: for each token, the mean gradient along the straight path from its embedding in
    /// the baseline to its own, times the difference of the two. The quadrature has `steps` points, at least one.
    ///
    /// Each row of `baseline` has as many tokens as that row of `batch`.
    fn integrate(
        &self,
        batch: &TokenBatch,
        baseline: &TokenBatch,
        steps: usize,
        gradient: LogitGradient<'_>,
    ) -> Vec<f32>;

    /// Computes the attention probabilities of each row, row-major `[layers, heads, query tokens, key tokens]`.
    fn attention_weights(&self, batch: &TokenBatch) -> Vec<Vec<f32>>;
}
