//! [`ExplainError`]: explanations that cannot be computed.

use crate::device::Device;
use crate::precision::Precision;

/// Errors from explaining a prediction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The model has no backward pass, which explanations need.
    #[error("explanations need a model in f32 or f16 on the CPU, found {found} on {device}")]
    NoBackwardPass {
        /// Precision of the model.
        found: Precision,
        /// Device of the model.
        device: Device,
    },

    /// The model has no such label.
    #[error("there is no label `{requested}`; the labels are {}", labels.join(", "))]
    UnknownLabel {
        /// Requested label.
        requested: String,
        /// Labels of the model.
        labels: Vec<String>,
    },

    /// The target label and the label to contrast it with are the same.
    #[error("label `{label}` cannot be explained against itself")]
    SameLabel {
        /// Label that was given twice.
        label: String,
    },

    /// A probability was requested from a regression model.
    #[error("a regression model has no probability; explain its logit")]
    NoProbability,

    /// Integrated gradients or a perturbation was requested with 0 steps.
    #[error("at least 1 step is needed, found 0")]
    NoSteps,

    /// Integrated gradients were requested with more steps than [`Method::MAX_STEPS`](crate::explain::Method::MAX_STEPS).
    #[error("integrated gradients take at most {limit} steps, found {found}")]
    TooManySteps {
        /// Requested number of steps.
        found: usize,
        /// Maximum number of steps.
        limit: usize,
    },

    /// The token of a [`Replacement`](crate::explain::Replacement) is not in the vocabulary.
    #[error("the vocabulary lacks the token {token}")]
    NoToken {
        /// Text of the token.
        token: String,
    },

    /// The number of values does not match the tokens of an explanation.
    #[error("the explanation has {expected} tokens, but {found} values were given")]
    TokenValueCount {
        /// Number of tokens of the explanation.
        expected: usize,
        /// Number of values given.
        found: usize,
    },

    /// The number of relevances does not match the words of an explanation.
    #[error("the explanation has {expected} words, but {found} relevances were given")]
    RelevanceCount {
        /// Number of words of the explanation.
        expected: usize,
        /// Number of values given.
        found: usize,
    },

    /// An explanation was made for a model with different labels.
    #[error(
        "this explanation was made for a model with labels {}; this model's labels are {}",
        expected.join(", "), found.join(", ")
    )]
    OtherModel {
        /// Labels of the explained model.
        expected: Vec<String>,
        /// Labels of the model that was used.
        found: Vec<String>,
    },

    /// A text to explain would be split into several windows.
    #[error(
        "text {row} has {}, but only a single window of {limit} can be explained",
        tokens.map_or_else(|| "too many tokens".to_owned(), |tokens| format!("{tokens} tokens"))
    )]
    ManyWindows {
        /// Index of the text.
        row: usize,
        /// Number of tokens, special tokens included; `None` for a text so long that they were not all counted.
        tokens: Option<usize>,
        /// `max_position_embeddings` of the model, or `model_max_length` of its tokenizer.
        limit: usize,
    },

    /// The model has no such attention head.
    #[error(
        "there is no attention head {head} in layer {layer}: the model has {layers} layers of {heads} heads"
    )]
    NoAttentionHead {
        /// Requested layer, counted from 0.
        layer: usize,
        /// Requested head, counted from 0.
        head: usize,
        /// Number of layers of the model.
        layers: usize,
        /// Number of heads per layer.
        heads: usize,
    },
}
