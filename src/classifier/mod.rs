//! [`Classifier`]: predictions for texts and token ids.

mod builder;
mod info;
#[cfg(feature = "text")]
mod options;

use std::fmt;
#[cfg(feature = "text")]
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use self::builder::ClassifierBuilder;
pub use self::info::ModelInfo;
#[cfg(feature = "text")]
pub use self::options::ClassifyOptions;
use crate::backend::Forward;
#[cfg(feature = "text")]
use crate::error::InputError;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::input::cut::Cut;
#[cfg(feature = "text")]
use crate::input::tokenizer::Tokenizer;
#[cfg(feature = "text")]
use crate::input::truncation::{FittedText, Fitting, Truncation};
use crate::model::config::{Config, ProblemType};
use crate::model::files::{ModelBytes, ModelFiles};
use crate::prediction::Prediction;

/// Number of tokens, after which a batch of texts is computed before further rows are prepared.
#[cfg(feature = "text")]
const MAX_TOKENS: usize = 1 << 16;

/// A DistilBERT sequence classifier, loaded and ready.
///
/// A classifier is `Send + Sync` and all its methods take `&self`, so that any number of threads can share one. Logits
/// are bit-identical whether a text is classified alone or in a batch, on any number of threads.
///
/// ```
/// # #[cfg(feature = "text")] {
/// use distilbert::Classifier;
///
/// let classifier = Classifier::builder("models/emotion").threads(2).build()?;
/// let prediction = classifier.classify("I can't believe we won!")?;
/// assert_eq!(prediction.label(), "happiness");
/// # }
/// # Ok::<(), distilbert::Error>(())
/// ```
pub struct Classifier {
    engine: Box<dyn Forward>,
    labels: Arc<[String]>,
    info: ModelInfo,
    #[cfg(feature = "text")]
    tokenizer: Option<Tokenizer>,
    #[cfg(feature = "text")]
    truncation: Truncation,
}

impl fmt::Debug for Classifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Classifier")
            .field("info", &self.info)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl Classifier {
    /// Starts building a classifier from a model folder in the layout of Hugging Face Transformers: `config.json`;
    /// `model.safetensors`, or else `pytorch_model.bin`, whole or as the shards that an index lists, or else (with the
    /// feature `tensorflow`) `tf_model.h5`; and `tokenizer.json` or `vocab.txt`.
    pub fn builder(folder: impl AsRef<Path>) -> ClassifierBuilder {
        ClassifierBuilder::new(ModelFiles::Folder(folder.as_ref().to_owned()))
    }

    /// Starts building a classifier from files in memory, such as those that `include_bytes!` embeds in a program.
    ///
    /// ```
    /// # #[cfg(feature = "text")] {
    /// use distilbert::{Classifier, ModelBytes};
    ///
    /// let read = |name: &str| std::fs::read(format!("models/emotion/{name}"));
    /// let files = ModelBytes::new()
    ///     .file("config.json", read("config.json")?)
    ///     .file("model.safetensors", read("model.safetensors")?)
    ///     .file("tokenizer.json", read("tokenizer.json")?);
    /// let classifier = Classifier::builder_from(files).build()?;
    /// assert_eq!(classifier.classify("I can't believe we won!")?.label(), "happiness");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder_from(files: ModelBytes) -> ClassifierBuilder {
        ClassifierBuilder::new(ModelFiles::Memory(files))
    }

    /// Computes the logits of each row, row-major `[rows, labels]`.
    ///
    /// ```
    /// use distilbert::{Classifier, TokenBatch};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let batch = TokenBatch::from_rows(&[vec![101, 2307, 102], vec![101, 6659, 999, 102]])?;
    /// let logits = classifier.logits(&batch)?;
    /// assert_eq!(logits.len(), 2 * classifier.labels().len());
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`EmptyBatch`](crate::InputError::EmptyBatch) if there are no rows,
    /// [`TokenId`](crate::InputError::TokenId) for an id outside the vocabulary,
    /// [`TooManyTokens`](crate::InputError::TooManyTokens) for a row that exceeds
    /// [`max_position_embeddings`](Config::max_position_embeddings); on a GPU also
    /// [`Error::Device`](crate::Error::Device).
    pub fn logits(&self, batch: &TokenBatch) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        self.logits_into(batch, &mut logits)?;
        Ok(logits)
    }

    /// Computes the logits like [`logits`](Self::logits), into a vector whose contents are replaced and whose memory is
    /// reused.
    ///
    /// A call allocates nothing if an earlier call had at least as many tokens and rows, unless it runs on a
    /// [`thread_pool`](ClassifierBuilder::thread_pool), whose queue may allocate. On the CPU, a batch is computed in
    /// parts of at most 1024 tokens, which bounds the working memory to about 30 MB per concurrent call for a model of
    /// DistilBERT-base's size. On a GPU, the first batch of each size has a one-time cost.
    ///
    /// ```
    /// use distilbert::{Classifier, TokenBatch};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let mut logits = Vec::new();
    /// for ids in [[101, 2307, 102], [101, 6659, 102]] {
    ///     classifier.logits_into(&TokenBatch::from_rows(&[ids])?, &mut logits)?;
    ///     assert_eq!(logits.len(), classifier.labels().len());
    /// }
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like [`logits`](Self::logits). The vector is unchanged if the batch is rejected; its contents are
    /// unspecified if a GPU fails.
    pub fn logits_into(&self, batch: &TokenBatch, logits: &mut Vec<f32>) -> Result<()> {
        let config = self.config();
        batch.check(config.vocab_size, config.max_position_embeddings)?;
        logits.clear();
        logits.resize(batch.rows() * self.labels.len(), 0.0);
        self.engine.forward(batch, logits)
    }

    /// Classifies rows of token ids, for callers that have their own tokenizer; predictions are in row order.
    ///
    /// ```
    /// use distilbert::{Classifier, TokenBatch};
    ///
    /// let classifier = Classifier::builder("models/emotion").build()?;
    /// let batch = TokenBatch::from_rows(&[[101, 1045, 3335, 2032, 102]])?;
    /// let predictions = classifier.classify_tokens(&batch)?;
    /// assert_eq!(predictions[0].label(), "sadness");
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like [`logits`](Self::logits).
    pub fn classify_tokens(&self, batch: &TokenBatch) -> Result<Vec<Prediction>> {
        let logits = self.logits(batch)?;
        let rows = logits.chunks_exact(self.labels.len()).enumerate();
        let prediction = |(row, logits): (usize, &[f32])| {
            self.prediction(logits.to_vec(), None).with_tokens(batch.row(row).len())
        };
        Ok(rows.map(prediction).collect())
    }

    /// Classifies one text.
    ///
    /// # Errors
    /// Fails like [`classify_batch`](Self::classify_batch).
    #[cfg(feature = "text")]
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
    #[cfg(feature = "text")]
    pub fn classify_with(&self, text: &str, options: &ClassifyOptions) -> Result<Prediction> {
        let mut predictions = self.classify_batch_with(&[text], options)?;
        predictions.pop().ok_or_else(|| InputError::EmptyBatch.into())
    }

    /// Classifies many texts at once; predictions are in the order of the texts.
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
    ///   [`Truncation::Error`]; with any truncation if the special tokens alone exceed the limit
    /// - [`InputError::Stride`] for a stride that leaves no room to advance, with [`Truncation::Windows`]
    /// - [`InputError::TokenId`] if the tokenizer returns an id outside the model's vocabulary
    /// - [`Error::Device`](crate::Error::Device) if a GPU fails
    #[cfg(feature = "text")]
    pub fn classify_batch<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Prediction>> {
        self.classify_batch_with(texts, &ClassifyOptions::default())
    }

    /// Classifies many texts at once, with options for this call; predictions are in the order of the texts.
    ///
    /// # Errors
    /// Fails like [`classify_batch`](Self::classify_batch).
    #[cfg(feature = "text")]
    pub fn classify_batch_with<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &ClassifyOptions,
    ) -> Result<Vec<Prediction>> {
        let texts = self.fit_each(texts, options).collect::<Result<Vec<_>, InputError>>()?;
        if texts.is_empty() {
            return Err(InputError::EmptyBatch.into());
        }
        self.predict(texts.iter())
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
    /// depend on a text: [`InputError::Stride`], or [`Error::Device`](crate::Error::Device) if a GPU fails.
    #[cfg(feature = "text")]
    pub fn classify_each<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &ClassifyOptions,
    ) -> Result<Vec<Result<Prediction, InputError>>> {
        let mut fitted = Vec::with_capacity(texts.len());
        for text in self.fit_each(texts, options) {
            match text {
                Err(error @ (InputError::Stride { .. } | InputError::NoTokenizer)) => {
                    return Err(error.into());
                }
                text => fitted.push(text),
            }
        }
        let mut predictions = self.predict(fitted.iter().flatten())?.into_iter();
        let result = |text: Result<FittedText, InputError>| match text {
            Ok(_) => predictions.next().map(Ok),
            Err(error) => Some(Err(error)),
        };
        Ok(fitted.into_iter().filter_map(result).collect())
    }

    #[cfg(feature = "text")]
    fn fit_each<T: AsRef<str>>(
        &self,
        texts: &[T],
        options: &ClassifyOptions,
    ) -> impl Iterator<Item = Result<FittedText, InputError>> {
        let &ClassifyOptions { truncation, count_dropped_tokens } = options;
        texts.iter().enumerate().map(move |(row, text)| {
            let fitting = self.fitting(row, truncation);
            self.fit(text.as_ref(), Fitting { counts_dropped: count_dropped_tokens, ..fitting })
        })
    }

    /// Computes the predictions of fitted texts.
    #[cfg(feature = "text")]
    fn predict<'t>(&self, texts: impl Iterator<Item = &'t FittedText>) -> Result<Vec<Prediction>> {
        let texts: Vec<&FittedText> = texts.collect();
        let tokenizer = self.tokenizer()?;
        let mut rows = texts.iter().flat_map(|text| text.rows(tokenizer)).peekable();
        let mut logits = Vec::new();
        while rows.peek().is_some() {
            let (mut batch, mut tokens) = (Vec::new(), 0);
            while let Some(row) = rows.next_if(|_| tokens < MAX_TOKENS) {
                tokens += row.len();
                batch.push(row);
            }
            logits.extend(self.logits(&TokenBatch::from_rows(&batch)?)?);
        }
        let mut logits = logits.chunks_exact(self.labels.len());
        let prediction = |text: &FittedText| {
            let windows: Vec<Prediction> = logits
                .by_ref()
                .take(text.windows.len())
                .map(|logits| self.prediction(logits.to_vec(), text.cut))
                .collect();
            let prediction = match <[Prediction; 1]>::try_from(windows) {
                Ok([whole]) => whole,
                Err(windows) => {
                    let lengths: Vec<usize> = text.windows.iter().map(Range::len).collect();
                    Prediction::average(&windows, &lengths)
                }
            };
            prediction.with_tokens(text.kept.ids.len() + tokenizer.special_tokens())
        };
        Ok(texts.into_iter().map(prediction).collect())
    }

    /// Tokenizes a text and fits it to the model.
    #[cfg(feature = "text")]
    pub(crate) fn fit(&self, text: &str, fitting: Fitting) -> Result<FittedText, InputError> {
        let fitted = self.tokenizer()?.fit(text, fitting)?;
        let (row, vocab_size) = (fitting.row, self.config().vocab_size);
        match fitted.kept.ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(InputError::TokenId { row, id, vocab_size }),
            None => Ok(fitted),
        }
    }

    /// Returns the limits for a text; without a truncation, the classifier's own applies.
    #[cfg(feature = "text")]
    pub(crate) fn fitting(&self, row: usize, truncation: Option<Truncation>) -> Fitting {
        let (limit, truncation) = (self.max_tokens(), truncation.unwrap_or(self.truncation));
        Fitting { row, limit, truncation, counts_dropped: false, places: false }
    }

    /// Returns the number of tokens of a text that the model reads at once, special tokens included: the smaller one of
    /// [`max_position_embeddings`](Config::max_position_embeddings) and the tokenizer's
    /// [`model_max_length`](Tokenizer::model_max_length).
    #[cfg(feature = "text")]
    pub fn max_tokens(&self) -> usize {
        let positions = self.config().max_position_embeddings;
        let length = self.tokenizer.as_ref().and_then(Tokenizer::model_max_length);
        length.map_or(positions, |length| length.min(positions))
    }

    pub(crate) fn prediction(&self, logits: Vec<f32>, cut: Option<Cut>) -> Prediction {
        Prediction::new(self.labels.clone(), logits, self.problem_type(), cut)
    }

    #[cfg(feature = "explain")]
    pub(crate) fn engine(&self) -> &dyn Forward {
        self.engine.as_ref()
    }

    /// Returns the labels, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Returns the model's configuration; labels missing from `config.json` are filled in.
    pub fn config(&self) -> &Config {
        self.engine.config()
    }

    /// Returns the meaning of the head's outputs.
    pub fn problem_type(&self) -> ProblemType {
        self.config().problem_type_for(self.labels.len())
    }

    /// Returns properties of the model and of the backend that computes it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Returns the model's tokenizer.
    ///
    /// # Errors
    /// [`InputError::NoTokenizer`] if the model was loaded [from memory](Self::builder_from) without a tokenizer.
    #[cfg(feature = "text")]
    pub fn tokenizer(&self) -> Result<&Tokenizer, InputError> {
        self.tokenizer.as_ref().ok_or(InputError::NoTokenizer)
    }
}

const _: () = {
    const fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Classifier>();
    assert_send_sync::<TokenBatch>();
    assert_send_sync::<Prediction>();
};
