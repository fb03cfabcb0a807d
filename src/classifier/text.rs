//! Predictions for texts.

use super::{Classifier, ClassifyOptions};
use crate::backend::Forward;
use crate::error::{InputError, Result};
use crate::input::batch::TokenBatch;
use crate::input::tokenizer::Tokenizer;
use crate::input::truncation::FittedText;
use crate::prediction::Prediction;

/// Number of tokens at which a batch of texts is computed before further rows are prepared.
const MAX_TOKENS: usize = 1 << 16;

impl Classifier {
    /// Classifies one text.
    ///
    /// # Errors
    /// Fails like [`classify_batch`](Self::classify_batch).
    pub fn classify(&self, text: &str) -> Result<Prediction> {
        self.classify_with(text, &ClassifyOptions::default())
    }

    /// Classifies one text, with options for this call.
    ///
    /// ```
    /// use distilbert::{Classifier, ClassifyOptions, Truncation};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let book = "We won! ".repeat(1000);
    /// assert!(classifier.classify(&book)?.truncated());
    /// let windows = Truncation::Windows { stride: 64, max_windows: None };
    /// let windows = ClassifyOptions::default().truncation(windows);
    /// assert!(!classifier.classify_with(&book, &windows)?.truncated());
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like [`classify_batch`](Self::classify_batch).
    pub fn classify_with(&self, text: &str, options: &ClassifyOptions) -> Result<Prediction> {
        let mut predictions = self.classify_batch_with(&[text], options)?;
        predictions.pop().ok_or_else(|| InputError::EmptyBatch.into())
    }

    /// Classifies many texts at once; predictions are in the order of the texts.
    ///
    /// Many texts are tokenized on the classifier's [threads](crate::ClassifierBuilder::threads) too, unless other calls
    /// keep them busy.
    ///
    /// ```
    /// use distilbert::Classifier;
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let predictions = classifier.classify_batch(&["I miss you so much.", "What a shock!"])?;
    /// assert_eq!(predictions[0].label(), "sadness");
    /// assert_eq!(predictions[1].label(), "surprise");
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`InputError::EmptyBatch`] if there are no texts
    /// - [`InputError::NoTokenizer`] if the model was loaded without a tokenizer
    /// - [`InputError::Encode`] if the tokenizer fails
    /// - [`InputError::TooManyTokens`] or [`InputError::TextTooLong`] for the first text that is too long, with
    ///   [`Truncation::Error`](crate::Truncation::Error); with any truncation if the special tokens alone exceed the limit
    /// - [`InputError::Stride`] for a stride that leaves no room to advance, with
    ///   [`Truncation::Windows`](crate::Truncation::Windows)
    /// - [`InputError::TokenId`] if the tokenizer returns an id outside the model's vocabulary
    /// - [`Error::Device`](crate::Error::Device) if a GPU fails
    pub fn classify_batch<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Prediction>> {
        self.classify_batch_with(texts, &ClassifyOptions::default())
    }

    /// Classifies many texts at once, with options for this call; predictions are in the order of the texts.
    ///
    /// # Errors
    /// Fails like [`classify_batch`](Self::classify_batch).
    pub fn classify_batch_with<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &ClassifyOptions,
    ) -> Result<Vec<Prediction>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        if texts.is_empty() {
            return Err(InputError::EmptyBatch.into());
        }
        let fitted = self.fit_each(&texts, options, |_| true)?;
        self.predict(fitted.iter().flatten())
    }

    /// Classifies many texts at once, each with its own result, so that a text that fails does not affect the others;
    /// results are in the order of the texts.
    ///
    /// ```
    /// use distilbert::{Classifier, ClassifyOptions, Truncation};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let strict = ClassifyOptions::default().truncation(Truncation::Error);
    /// let book = "We won! ".repeat(1000);
    /// let results = classifier.classify_each(&["I miss you.", &book, "What a shock!"], &strict)?;
    /// let labels: Vec<_> = results.iter().flatten().map(|found| found.label()).collect();
    /// assert_eq!(labels, ["sadness", "surprise"]);
    /// assert!(results[1].is_err());
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// A text's result is [`InputError::Encode`], [`InputError::TooManyTokens`], [`InputError::TextTooLong`] or
    /// [`InputError::TokenId`], with the text's index as the row. The call itself fails with an error that does not
    /// depend on a text: [`InputError::Stride`], [`InputError::NoTokenizer`], or [`Error::Device`](crate::Error::Device) if a GPU fails.
    pub fn classify_each<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &ClassifyOptions,
    ) -> Result<Vec<Result<Prediction, InputError>>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let fitted = self.fit_each(&texts, options, |error| {
            matches!(error, InputError::Stride { .. } | InputError::NoTokenizer)
        })?;
        let mut predictions = self.predict(fitted.iter().flatten())?.into_iter();
        let result = |text: Result<FittedText, InputError>| match text {
            Ok(_) => predictions.next().map(Ok),
            Err(error) => Some(Err(error)),
        };
        Ok(fitted.into_iter().filter_map(result).collect())
    }

    /// Computes the predictions of fitted texts. With a cascade, all windows of a text have one precision.
    fn predict<'t>(&self, texts: impl Iterator<Item = &'t FittedText>) -> Result<Vec<Prediction>> {
        let texts: Vec<&FittedText> = texts.collect();
        self.predict_in_stages(&texts, |engine, texts| self.predict_on(engine, texts))
    }

    /// Computes the predictions of fitted texts with one engine.
    fn predict_on(&self, engine: &dyn Forward, texts: &[&FittedText]) -> Result<Vec<Prediction>> {
        let labels = self.labels.len();
        let tokenizer = self.tokenizer()?;
        let mut rows = texts.iter().flat_map(|text| text.rows(tokenizer)).peekable();
        let mut logits = Vec::new();
        while rows.peek().is_some() {
            let (mut batch, mut tokens) = (Vec::new(), 0);
            while let Some(row) = rows.next_if(|_| tokens < MAX_TOKENS) {
                tokens += row.len();
                batch.push(row);
            }
            let batch = TokenBatch::from_rows(&batch)?;
            self.check(&batch)?;
            let computed = logits.len();
            logits.resize(computed + batch.rows() * labels, 0.0);
            engine.forward(&batch, &mut logits[computed..])?;
        }
        let mut rest = logits.as_slice();
        let prediction = |text: &&FittedText| {
            let own = rest.split_off(..text.windows.len() * self.labels.len()).unwrap_or_default();
            self.combine(own, &text.windows, text.cut).with_tokens(text.tokens(tokenizer))
        };
        Ok(texts.iter().map(prediction).collect())
    }

    /// Returns the maximum number of tokens of a text that the model reads at once, special tokens included: the smaller of
    /// [`max_position_embeddings`](crate::Config::max_position_embeddings) and the tokenizer's
    /// [`model_max_length`](Tokenizer::model_max_length).
    pub fn max_tokens(&self) -> usize {
        let positions = self.config().max_position_embeddings;
        let length = self.tokenizer.as_ref().and_then(Tokenizer::model_max_length);
        length.map_or(positions, |length| length.min(positions))
    }

    /// Returns the model's tokenizer.
    ///
    /// # Errors
    /// [`InputError::NoTokenizer`] if the model was loaded [from memory](Self::builder_from) without a tokenizer.
    pub fn tokenizer(&self) -> Result<&Tokenizer, InputError> {
        self.tokenizer.as_ref().ok_or(InputError::NoTokenizer)
    }
}
