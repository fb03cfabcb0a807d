//! [`Classifier::occlusion`]: what is lost when a word alone goes.

use super::explanation::Explanation;
use super::variants::{Replacement, Variants};
use crate::classifier::Classifier;
use crate::error::Result;

impl Classifier {
    /// For each word of an explained text, by how much the [value](Explanation::value) that is explained
    /// is lower without it: a check of the relevances that needs no derivative, and costs a forward pass
    /// for each word. They run as one packed batch.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::Classifier;
    /// use distilbert::explain::{Explain, Replacement};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let explanation = classifier.explain("I miss him.", &Explain::default())?;
    /// let lost = classifier.occlusion(&explanation, Replacement::default())?;
    /// assert_eq!(lost.len(), explanation.words().len());
    /// assert!(lost[1] > 1.0, "sadness is in `miss`");
    /// # }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoToken`](crate::Error::NoToken) for a replacement that is not in the vocabulary;
    /// [`Error::OtherModel`](crate::Error::OtherModel) for an explanation with other labels.
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
