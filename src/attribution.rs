//! What an explanation asks of an engine: the backward pass, and the rules by which it may go.
//!
//! With the plain rules it gives gradients. The others hold a part of an operation constant, so that
//! relevance, the sum of values times gradients, goes through it undiminished.

use std::ops::AddAssign;

use crate::input::batch::TokenBatch;

/// How each nonlinear operation is differentiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub attention: AttentionRule,
    pub layer_norm: NormRule,
    pub activation: ActivationRule,
}

impl Rules {
    /// The gradient itself.
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
    /// Attention's weights are constants: everything goes to the values (Ali et al. 2022, the AH rule).
    HoldWeights,
    /// Each product gives half to either factor: half goes to the values, a quarter each to queries and
    /// keys (Achtibat et al. 2024).
    Share,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NormRule {
    #[default]
    Gradient,
    /// The deviation is a constant (Ali et al. 2022, the LN rule).
    HoldDeviation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ActivationRule {
    #[default]
    Gradient,
    /// The quotient of output and input is a constant: `Φ(x)` of the GELU `x · Φ(x)`.
    HoldQuotient,
}

/// What each kind of operation took of a row's relevance: the sum of its outputs times their gradients,
/// less that of its inputs. With the sum of the tokens' relevances, these make up the logits times their
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

/// What a backward pass finds of a batch.
pub(crate) struct Attribution {
    /// `[rows, labels]`, those of the forward pass bit for bit.
    pub logits: Vec<f32>,
    /// For each token, the sum of its embedding (normalised, as the first layer gets it) times the
    /// gradient.
    pub relevance: Vec<f32>,
    /// For each row.
    pub shares: Vec<Shares>,
}

/// Writes the gradient of what is explained by the logits, given a row's index and logits.
pub(crate) type LogitGradient<'a> = &'a (dyn Fn(usize, &[f32], &mut [f32]) + Sync);

/// An engine that goes backward. Batches have been checked against the tables.
pub(crate) trait Attribute: Send + Sync {
    /// Goes forward and backward.
    fn attribute(
        &self,
        batch: &TokenBatch,
        rules: Rules,
        gradient: LogitGradient<'_>,
    ) -> Attribution;

    /// For each token, its way from the baseline's embedding times the gradient, integrated in so many
    /// steps, at least one. The baseline has as many tokens in each row.
    fn integrate(
        &self,
        batch: &TokenBatch,
        baseline: &TokenBatch,
        steps: usize,
        gradient: LogitGradient<'_>,
    ) -> Vec<f32>;

    /// The weights of attention of each row, `[layers, heads, tokens, tokens]`: how much each token,
    /// in the last index but one, takes of each.
    fn attention_weights(&self, batch: &TokenBatch) -> Vec<Vec<f32>>;
}
