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
    pub(super) max_tokens: Option<usize>,
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

    /// Sets the maximum number of tokens that are read at once, special tokens included, if it is below
    /// [`Classifier::max_tokens`](crate::Classifier::max_tokens): `max_length` of Hugging Face Transformers.
    ///
    /// ```
    /// use distilbert::{Classifier, ClassifyOptions};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let options = ClassifyOptions::default().max_tokens(5);
    /// let prediction = classifier.classify_with("We won! I can't believe it!", &options)?;
    /// assert_eq!(prediction.logits(), classifier.classify("We won!")?.logits());
    /// assert_eq!((prediction.tokens(), prediction.truncated()), (5, true));
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = Some(tokens);
        self
    }
}
