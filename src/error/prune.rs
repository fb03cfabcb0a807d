//! [`PruneError`]: models that cannot be pruned.

/// Errors from pruning a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// There are too few calibration texts to estimate moments from.
    #[error("pruning needs at least {needed} calibration texts, found {found}")]
    TooFewTexts {
        /// Number of texts.
        found: usize,
        /// Minimum number of texts.
        needed: usize,
    },

    /// The calibration texts have more tokens than are kept in memory.
    #[error(
        "the calibration texts have {found} tokens, expected at most {limit}: pass fewer or shorter texts"
    )]
    TooManyTokens {
        /// Number of tokens, special tokens included.
        found: usize,
        /// Maximum number of tokens.
        limit: usize,
    },

    /// The activations or gradients of a layer hardly vary over the calibration texts.
    #[error(
        "layer {layer}: the statistics of {matrix} are singular over the calibration texts: pass more varied texts"
    )]
    SingularStatistics {
        /// Layer, counted from 0.
        layer: usize,
        /// Tensor whose inputs or outputs do not vary, such as `ffn.lin2`.
        matrix: &'static str,
    },

    /// The share of multiply-adds to keep is not above 0, or exceeds 1.
    #[error("the share to keep should be above 0 and at most 1, found {found}")]
    Share {
        /// Requested share.
        found: f64,
    },

    /// The target time is zero, negative or NaN.
    #[error("the time per text should be above 0 milliseconds, found {found}")]
    Time {
        /// Requested time in milliseconds.
        found: f64,
    },

    /// The budget is below what one head and one panel of neurons per layer cost, or below what all heads and one panel cost in a
    /// uniform model.
    #[error(
        "a budget of {:.4} of the model's cost is too small: the least that can be kept is {least:.4}",
        share
    )]
    Budget {
        /// Requested share of the model's cost.
        share: f64,
        /// Share of the smallest model.
        least: f64,
    },

    /// The feed-forward width is not one to which the model can be pruned.
    #[error("the feed-forward width should be from 1 to {limit}, found {found}")]
    HiddenDim {
        /// Requested width.
        found: usize,
        /// Width of the narrowest layer.
        limit: usize,
    },

    /// The checkpoint stores its weights in 8 bits, which a refit would round once more.
    #[error("the model is stored in int8: prune the original, then quantize the result")]
    Quantized,
}
