//! [`Ledger`]: what of a logit the tokens' relevances do not account for.

use crate::attribution::Shares;

/// What each kind of operation takes of the relevance: with the tokens' relevances these make up what is
/// explained, but for rounding.
///
/// A linear layer gives its inputs all relevance but its bias's share. What is not linear may take more, or
/// give some: [`Method::Lrp`](super::Method::Lrp) holds what would, so that biases alone take a share;
/// gradients times inputs leave out whatever moves the logit without being in proportion to the input.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Ledger {
    /// The biases of linear layers and layer normalisations.
    pub bias: f64,
    /// The activation of the feed-forward networks.
    pub gelu: f64,
    /// The softmax of attention.
    pub softmax: f64,
    /// Layer normalisation, which undoes whatever scale its input has.
    pub layer_norm: f64,
    /// Attention's products, each of which would give its relevance to both factors.
    pub attention: f64,
    /// The way from the logits to the probability, where that is explained.
    pub probability: f64,
    /// What is explained has this value at the baseline of integrated gradients.
    pub baseline: f64,
}

impl Ledger {
    pub(super) fn new(shares: Shares) -> Self {
        let Shares { bias, gelu, softmax, layer_norm, attention } = shares;
        Self { bias, gelu, softmax, layer_norm, attention, ..Self::default() }
    }

    /// All shares by name.
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

    /// The sum of all shares.
    pub fn total(&self) -> f64 {
        self.entries().iter().map(|entry| entry.1).sum()
    }
}
