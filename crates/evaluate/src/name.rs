//! [`ParseNameError`]: parsing of [`Average`](crate::Average) and [`Ranking`](crate::Ranking) names.

/// Error returned when a string is not the name of an [`Average`](crate::Average) or a [`Ranking`](crate::Ranking).
///
/// ```
/// use distilbert_evaluate::Average;
///
/// let error = "median".parse::<Average>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown average `median`; expected one of micro, macro, weighted, samples",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("unknown {option} `{found}`; expected one of {}", .expected.join(", "))]
pub struct ParseNameError {
    option: &'static str,
    found: String,
    expected: Vec<&'static str>,
}

impl ParseNameError {
    pub(crate) fn new(option: &'static str, found: &str, expected: Vec<&'static str>) -> Self {
        Self { option, found: found.to_owned(), expected }
    }

    /// Returns the option that was parsed, such as `average`.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// Returns the string that was parsed.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns the valid names.
    pub fn expected(&self) -> &[&'static str] {
        &self.expected
    }
}
