//! [`Classifier`]: predictions for texts and token ids.

mod builder;
mod cascade;
#[cfg(feature = "text")]
mod fit;
mod info;
#[cfg(feature = "text")]
mod options;
#[cfg(feature = "text")]
mod text;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use self::builder::ClassifierBuilder;
pub use self::info::ModelInfo;
#[cfg(feature = "text")]
pub use self::options::ClassifyOptions;
use crate::backend::Forward;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::input::cut::Cut;
#[cfg(feature = "text")]
use crate::input::tokenizer::Tokenizer;
#[cfg(feature = "text")]
use crate::input::truncation::Truncation;
use crate::model::config::{Config, ProblemType};
use crate::model::files::{ModelBytes, ModelFiles};
use crate::prediction::Prediction;

/// DistilBERT sequence classifier, loaded and ready to use.
///
/// A classifier is `Send + Sync` and all its methods take `&self`, so that any number of threads can share one. Logits
/// are bit-identical whether a text is classified alone or in a batch, and regardless of the number of threads.
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

    /// Computes logits like [`logits`](Self::logits), but writes them to an existing vector, replacing its contents and
    /// reusing its memory.
    ///
    /// A call allocates nothing if an earlier call had at least as many tokens and rows, unless it runs on a
    /// [`thread_pool`](ClassifierBuilder::thread_pool), whose queue may allocate. On the CPU, a batch is computed in
    /// parts of at most 1024 tokens, which limits the working memory to about 30 MB per concurrent call for a model of
    /// DistilBERT-base's size. A [cascade](crate::Precision::Cascade) takes up to twice as much, and its second pass
    /// allocates nothing if an earlier one had at least as many tokens and rows. On a GPU, the first batch of each size
    /// has a one-time cost.
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
        self.compute(self.engine.as_ref(), batch, logits)
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
        self.check(batch)?;
        let rows: Vec<usize> = (0..batch.rows()).collect();
        self.predict_in_stages(&rows, |engine, rows| self.classify_rows(engine, batch, rows))
    }

    /// Classifies rows like [`classify_tokens`](Self::classify_tokens), but with a cascade all of them in the precision
    /// of its explanations.
    #[cfg(feature = "explain")]
    pub(crate) fn classify_tokens_exactly(&self, batch: &TokenBatch) -> Result<Vec<Prediction>> {
        self.check(batch)?;
        let rows: Vec<usize> = (0..batch.rows()).collect();
        self.classify_rows(self.last_engine(), batch, &rows)
    }

    /// Classifies some rows of a checked batch.
    fn classify_rows(
        &self,
        engine: &dyn Forward,
        batch: &TokenBatch,
        rows: &[usize],
    ) -> Result<Vec<Prediction>> {
        let mut part = TokenBatch::default();
        let batch = if rows.len() == batch.rows() {
            batch
        } else {
            part.set_rows(batch, rows);
            &part
        };
        let mut logits = vec![0.0; batch.rows() * self.labels.len()];
        engine.forward(batch, &mut logits)?;
        let rows = logits.chunks_exact(self.labels.len()).enumerate();
        let prediction = |(row, logits): (usize, &[f32])| {
            self.prediction(logits.to_vec(), None).with_tokens(batch.row(row).len())
        };
        Ok(rows.map(prediction).collect())
    }

    /// Checks that the model's embedding tables have an entry for every id and position of a batch.
    fn check(&self, batch: &TokenBatch) -> Result<()> {
        let config = self.config();
        Ok(batch.check(config.vocab_size, config.max_position_embeddings)?)
    }

    /// Returns the prediction for logits; with a cascade, they are those of its last stage.
    pub(crate) fn prediction(&self, logits: Vec<f32>, cut: Option<Cut>) -> Prediction {
        let precision = self.info.precision.of_last_stage();
        Prediction::new(self.labels.clone(), logits, self.problem_type(), cut)
            .with_precision(precision)
    }

    /// Makes a text's prediction from the logits of its windows: the text's only row, or several, averaged by length.
    pub(crate) fn combine(
        &self,
        logits: &[f32],
        windows: &[Range<usize>],
        cut: Option<Cut>,
    ) -> Prediction {
        let rows = logits.chunks_exact(self.labels.len());
        let parts: Vec<Prediction> =
            rows.map(|logits| self.prediction(logits.to_vec(), cut)).collect();
        match <[Prediction; 1]>::try_from(parts) {
            Ok([whole]) => whole,
            Err(parts) => {
                let lengths: Vec<usize> = windows.iter().map(Range::len).collect();
                Prediction::average(&parts, &lengths, self.problem_type())
            }
        }
    }

    /// Computes the logits of a batch with an engine of this classifier.
    pub(crate) fn compute(
        &self,
        engine: &dyn Forward,
        batch: &TokenBatch,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        self.check(batch)?;
        logits.clear();
        logits.resize(batch.rows() * self.labels.len(), 0.0);
        engine.forward(batch, logits)
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

    /// Returns the problem type, which says how to interpret the head's outputs.
    pub fn problem_type(&self) -> ProblemType {
        self.config().problem_type_for(self.labels.len())
    }

    /// Returns properties of the model and of the backend that runs it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }
}

const _: () = {
    const fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Classifier>();
    assert_send_sync::<TokenBatch>();
    assert_send_sync::<Prediction>();
};
