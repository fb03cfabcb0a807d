//! [`Ledger`]: the part of an explained number that tokens do not account for.

use crate::attribution::Shares;

/// Relevance absorbed by each kind of operation. Together with the tokens' relevances it adds up to the explained
/// number, except for rounding.
///
/// A linear layer passes all relevance on to its inputs, except the bias's share. A nonlinear operation may absorb
/// relevance or add some: [`Method::Lrp`](super::Method::Lrp) treats the nonlinear factors as constants, so that only
/// biases absorb relevance; with gradient times input, operations
/// also absorb the part of their output that is not proportional to the input.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Ledger {
    /// Biases of linear layers and layer normalizations.
    pub bias: f64,
    /// Activation function of the feed-forward networks: GELU or, despite the field's name, ReLU.
    pub gelu: f64,
    /// Softmax of attention.
    pub softmax: f64,
    /// Layer normalization, whose output does not depend on the scale of its input.
    pub layer_norm: f64,
    /// Matrix products of attention, for which gradient times input counts the relevance once per factor.
    pub attention: f64,
    /// Step from the logits to the probability, if a probability is explained.
    pub probability: f64,
    /// Value of the explained number at the baseline of integrated gradients.
    pub baseline: f64,
}

impl Ledger {
    pub(super) fn new(shares: Shares) -> Self {
        let Shares { bias, gelu, softmax, layer_norm, attention } = shares;
        Self { bias, gelu, softmax, layer_norm, attention, ..Self::default() }
    }

    /// Returns all shares with their field names.
    pub fn entries(&self) -> [(&'static str, f64); 7] {
        [
            ("bias", self.bias),
            ("gelu", self.gelu),
            ("softmax", self.softmax),
            ("layer_norm", self.layer_norm),
            ("attention", self.attention),
            ("probability", self.probability),
            ("baseline", self.baseline),
        ]
    }

    /// Returns the sum of all shares.
    pub fn total(&self) -> f64 {
        self.entries().iter().map(|entry| entry.1).sum()
    }
}
