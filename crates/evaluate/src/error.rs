//! The error type of the crate.

/// An evaluation or a comparison that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model refused a text.
    #[error(transparent)]
    Model(#[from] distilbert::Error),

    /// Methods of explanation were to be compared, but none is named.
    #[error("there is nothing to compare: name at least one method")]
    NoMethods,

    /// Methods of explanation were to be compared on texts that leave nothing to rank.
    #[error(
        "none of the {texts} texts has two words or more, so that every method ranks them alike"
    )]
    NoRankedText {
        /// Texts given.
        texts: usize,
    },

    /// A random order was to be compared with, but none drawn.
    #[error("at least 1 random order is needed, found 0")]
    NoRandomOrders,

    /// Intervals were asked for without resamples.
    #[error("at least 1 resample is needed, found 0")]
    NoResamples,

    /// Two models are to be compared that do not say the same things.
    #[error(
        "models of different labels cannot be compared: expected {}, found {}",
        .expected.join(", "), .found.join(", ")
    )]
    OtherLabels {
        /// The labels of the first model.
        expected: Vec<String>,
        /// Those of the second.
        found: Vec<String>,
    },

    /// Two models are to be compared that answer different questions.
    #[error("models of different kinds cannot be compared: expected {expected}, found {found}")]
    OtherProblemType {
        /// The first model's `problem_type`.
        expected: &'static str,
        /// That of the second.
        found: &'static str,
    },

    /// A regression has values, of which none is right or wrong.
    #[error("a regression has no labels to evaluate: expected a single-label or multi-label model")]
    NotClassification,

    /// Rows were to be evaluated by a model without labels.
    #[error("there is nothing to evaluate by: expected at least 1 label, found 0")]
    NoLabels,

    /// There is no labelled row.
    #[error("there is nothing to evaluate: give at least one labelled row")]
    NothingToEvaluate,

    /// Calibration was asked for with no bins, or with more than rows can fill.
    #[error("calibration should have 1 to {limit} bins, found {found}")]
    Bins {
        /// Bins asked for.
        found: usize,
        /// The most that there may be.
        limit: usize,
    },

    /// A row to evaluate has not one score for each label.
    #[error("row {row} should have {expected} scores, one for each label, found {found}")]
    ScoreCount {
        /// [What the row is called](crate::Row::number).
        row: usize,
        /// Labels of the model.
        expected: usize,
        /// Scores given.
        found: usize,
    },

    /// A score of a row to evaluate is no probability.
    #[error("row {row} should have a probability from 0 to 1 for `{label}`, found {found}")]
    NotProbability {
        /// [What the row is called](crate::Row::number).
        row: usize,
        /// The label.
        label: String,
        /// Its score.
        found: f32,
    },

    /// A true label of a row to evaluate is none of the model's.
    #[error(
        "row {row} has the label id {found}, but the model has {labels} labels, counted from 0"
    )]
    LabelId {
        /// [What the row is called](crate::Row::number).
        row: usize,
        /// The id.
        found: usize,
        /// Labels of the model.
        labels: usize,
    },

    /// A row to evaluate by a single-label model has not one true label.
    #[error("row {row} has {found} true labels, but a single-label model's rows have one each")]
    TrueLabelCount {
        /// [What the row is called](crate::Row::number).
        row: usize,
        /// How many it has.
        found: usize,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
