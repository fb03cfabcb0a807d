//! [`PrecisionError`]: precisions that a model or an operation does not support.

use crate::precision::Precision;

/// Errors from a [`Precision`] that a model or an operation does not support.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrecisionError {
    /// The margin of a cascade is negative, infinite or NaN.
    #[error("the margin of a cascade should be a finite number of at least 0, found {found}")]
    Margin {
        /// Margin given.
        found: f32,
    },

    /// A cascade was requested for a checkpoint whose float weights were discarded when it was quantized.
    #[error("a cascade needs float weights, but the checkpoint stores int8")]
    QuantizedCascade,

    /// A cascade was requested for a regression model, which has no labels to decide between.
    #[error("a cascade needs a model with labels, found a regression model")]
    RegressionCascade,

    /// Weights cannot be stored in the requested precision.
    #[error("weights can be stored in f32, f16, bf16 or int8, not in {requested}")]
    NotStored {
        /// Requested precision.
        requested: Precision,
    },
}
