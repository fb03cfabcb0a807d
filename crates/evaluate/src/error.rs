//! [`Error`], the error type of the crate.

/// Errors from an evaluation or a comparison.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model could not be run on a text.
    #[error(transparent)]
    Model(#[from] distilbert::Error),

    /// A comparison of explanation methods has no methods.
    #[error("no methods to compare: expected at least 1")]
    NoMethods,

    /// A comparison of explanation methods has no text with at least two words to rank.
    #[error("no text to compare methods on: none of the {texts} texts has two or more words")]
    NoRankedText {
        /// Number of texts given.
        texts: usize,
    },

    /// The number of random orders is 0.
    #[error("expected at least 1 random order, found 0")]
    NoRandomOrders,

    /// The number of bootstrap resamples is 0.
    #[error("expected at least 1 resample, found 0")]
    NoResamples,

    /// The number of bootstrap resamples, of random orders or of a single-label model's labels is too large.
    #[error("expected at most {limit} {what}, found {found}")]
    TooMany {
        /// `resamples`, `random orders` or `labels of a single-label model`.
        what: &'static str,
        /// Number given.
        found: usize,
        /// Maximum number.
        limit: usize,
    },

    /// Two models to compare have different labels.
    #[error(
        "cannot compare models with different labels: expected {}, found {}",
        .expected.join(", "), .found.join(", ")
    )]
    LabelMismatch {
        /// Labels of the first model.
        expected: Vec<String>,
        /// Labels of the second model.
        found: Vec<String>,
    },

    /// Two models to compare have different problem types.
    #[error(
        "cannot compare models with different problem types: expected {expected}, found {found}"
    )]
    ProblemTypeMismatch {
        /// `problem_type` of the first model.
        expected: &'static str,
        /// `problem_type` of the second model.
        found: &'static str,
    },

    /// The model is a regression model, which has no labels to evaluate.
    #[error(
        "a regression model has no labels to evaluate: expected a single-label or multi-label model"
    )]
    NotClassification,

    /// The model has no labels.
    #[error("expected a model with at least 1 label, found 0")]
    NoLabels,

    /// There are no labeled rows to evaluate.
    #[error("there is nothing to evaluate: expected at least 1 labeled row, found 0")]
    NothingToEvaluate,

    /// The number of calibration bins is out of range.
    #[error("calibration should have 1 to {limit} bins, found {found}")]
    BinCount {
        /// Number of bins given.
        found: usize,
        /// Maximum number of bins.
        limit: usize,
    },

    /// A row doesn't have exactly one score per label.
    #[error("row {row} should have {expected} scores, one for each label, found {found}")]
    ScoreCount {
        /// [Number](crate::Row::number) of the row.
        row: usize,
        /// Number of labels of the model.
        expected: usize,
        /// Number of scores given.
        found: usize,
    },

    /// A score is not a probability.
    #[error("row {row} should have a probability from 0 to 1 for `{label}`, found {found}")]
    NotProbability {
        /// [Number](crate::Row::number) of the row.
        row: usize,
        /// Label of the score.
        label: String,
        /// Score given.
        found: f32,
    },

    /// A true label is not a label of the model.
    #[error(
        "row {row} has the label id {found}, but the model has {labels} labels, numbered from 0"
    )]
    LabelId {
        /// [Number](crate::Row::number) of the row.
        row: usize,
        /// Label id given.
        found: usize,
        /// Number of labels of the model.
        labels: usize,
    },

    /// A row of a single-label model doesn't have exactly one true label.
    #[error("row {row} has {found} true labels, but a single-label model's rows have one each")]
    TrueLabelCount {
        /// [Number](crate::Row::number) of the row.
        row: usize,
        /// Number of true labels given.
        found: usize,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
