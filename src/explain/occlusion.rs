//! [`Classifier::occlusion`]: the effect of removing single words.

use super::explanation::Explanation;
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::Result;

impl Classifier {
    /// Computes, for each word of an explained text, the decrease in the explained [value](Explanation::value) if that
    /// word is replaced.
    ///
    /// This checks relevances without a derivative, at the cost of one forward pass per word; all of them run as one
    /// packed batch.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    /// use distilbert::explain::{ExplainOptions, Replacement};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let explanation = classifier.explain("I miss him.", &ExplainOptions::default())?;
    /// let lost = classifier.occlusion(&explanation, Replacement::default())?;
    /// assert_eq!(lost.len(), explanation.words().len());
    /// assert!(lost[1] > 1.0, "`miss` carries the sadness");
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ExplainError::NoToken`](crate::ExplainError::NoToken) if the replacement is not in the vocabulary;
    /// [`ExplainError::OtherModel`](crate::ExplainError::OtherModel) if the explanation is for a model with different
    /// labels; otherwise the errors of [`logits`](Self::logits).
    pub fn occlusion(
        &self,
        explanation: &Explanation,
        replacement: Replacement,
    ) -> Result<Vec<f32>> {
        let mut variants = Variants::new(self, explanation, replacement)?;
        let whole = variants.without(&[]);
        let words = 0..explanation.words.len();
        let rows: Vec<usize> = words.map(|word| variants.without(&[word])).collect();
        let predictions = variants.predictions()?;
        let value = |row: usize| explanation.goal.value(predictions[row].logits());
        Ok(rows.into_iter().map(|row| (value(whole) - value(row)) as f32).collect())
    }
}
