//! [`ClassifyOptions`]: options of one call.

use crate::input::truncation::Truncation;

/// Options for one call of [`Classifier::classify_with`](crate::Classifier::classify_with). By default, the settings of
/// the classifier apply.
///
/// ```
/// use distilbert::{ClassifyOptions, Truncation};
///
/// let options = ClassifyOptions::default().truncation(Truncation::Left);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[must_use]
pub struct ClassifyOptions {
    pub(super) truncation: Option<Truncation>,
    pub(super) count_dropped_tokens: bool,
}

impl ClassifyOptions {
    /// Sets how texts longer than the model's limit are handled; the default is the setting of
    /// [`ClassifierBuilder::truncation`](crate::ClassifierBuilder::truncation).
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = Some(truncation);
        self
    }

    /// Counts the dropped tokens of every truncated text if `true`; by default `false`, which leaves out texts
    /// larger than 16 KiB. Counting takes time and memory in proportion to the text.
    pub fn count_dropped_tokens(mut self, count: bool) -> Self {
        self.count_dropped_tokens = count;
        self
    }
}
