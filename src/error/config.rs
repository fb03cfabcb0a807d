//! [`ConfigError`]: invalid JSON files of a model.

use std::path::PathBuf;

use super::one_line::OneLine;

/// Errors in `config.json` or another JSON file of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A JSON file of the model could not be parsed.
    #[error("{} is not valid: {}", path.display(), OneLine(reason))]
    Json {
        /// File.
        path: PathBuf,
        /// Defect that was found.
        reason: String,
    },

    /// A field of `config.json` has an invalid value.
    #[error("config.json: `{field}` should be {expected}, found {}", OneLine(found))]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Description of valid values.
        expected: String,
        /// Value in the file.
        found: String,
    },

    /// The number of labels does not match the classification head.
    #[error("config.json names {labels} labels, but `classifier.weight` has {rows} rows")]
    LabelCount {
        /// Number of labels according to `id2label` or `num_labels`.
        labels: usize,
        /// Number of rows of `classifier.weight`.
        rows: usize,
    },
}
