//! [`Classifier`] and its builder: the way from a model folder to predictions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::ThreadPool;

use crate::backend::Forward;
use crate::cpu::simd::InstructionSet;
use crate::cpu::{self, Threads};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::input::batch::TokenBatch;
#[cfg(feature = "text")]
use crate::input::tokenizer::{Tokenizer, Truncation};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::{Config, ProblemType};
use crate::precision::Precision;
use crate::prediction::Prediction;

/// A DistilBERT sequence classifier, loaded and ready.
///
/// One value serves any number of threads at once. The same row gives the same bits, alone or in any
/// batch and on any number of threads.
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
    tokenizer: Tokenizer,
    #[cfg(feature = "text")]
    truncation: Truncation,
}

/// What was loaded and how it computes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The model's folder.
    pub folder: PathBuf,
    /// The types in which the checkpoint stores its weights, such as `F16`.
    pub dtypes: Vec<String>,
    /// Number of weights.
    pub parameters: usize,
    /// Size of the weight files in bytes.
    pub checkpoint_bytes: usize,
    /// Where the model is computed; never [`Device::Auto`].
    pub device: Device,
    /// The instruction set chosen, for what is computed on the processor.
    pub instruction_set: InstructionSet,
    /// How the weights are held and multiplied.
    pub precision: Precision,
    /// Threads that a call is spread over; one where a GPU computes.
    pub threads: usize,
}

/// Settings of a [`Classifier`], from [`Classifier::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ClassifierBuilder {
    folder: PathBuf,
    device: Device,
    precision: Option<Precision>,
    threads: Option<usize>,
    pool: Option<Arc<ThreadPool>>,
    instruction_set: Option<InstructionSet>,
    #[cfg(feature = "text")]
    truncation: Truncation,
}

impl ClassifierBuilder {
    /// Where the model is computed; by default [`Device::Cpu`].
    ///
    /// ```
    /// use distilbert::{Classifier, Device};
    ///
    /// let classifier = Classifier::builder("models/emotion").device(Device::Auto).build()?;
    /// println!("computes on {}", classifier.info().device);
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// How the weights are held and multiplied; by default [`Precision::F32`], or [`Precision::F16`] on a
    /// GPU, or [`Precision::Int8`] for a checkpoint that [`quantize`](crate::quantize) has written.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Threads that a call is spread over, the caller's included; by default as many as the machine
    /// has physical cores. 0 is taken as 1. [`build`](Self::build) uses as many as by default to load the
    /// model, also where a call is to have one.
    ///
    /// With 1, calls at the same time compute at the same time, each on its caller's thread. With
    /// more, they take turns. The first suits a service with many callers, the second one that wants
    /// each answer soonest. It has no effect on what a GPU computes, for four calls at the same time.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// Spreads calls over the threads of this pool, which others may use as well, instead of threads
    /// of its own; [`threads`](Self::threads) then has no effect.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use distilbert::Classifier;
    ///
    /// let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build()?);
    /// let classifier = Classifier::builder("models/emotion").thread_pool(pool).build()?;
    /// assert_eq!(classifier.info().threads, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn thread_pool(mut self, pool: Arc<ThreadPool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// The instruction set to compute with; by default what `DISTILBERT_ISA` names, else the best
    /// that the machine has.
    pub fn instruction_set(mut self, set: InstructionSet) -> Self {
        self.instruction_set = Some(set);
        self
    }

    /// What to do with texts longer than the model takes; by default [`Truncation::Right`].
    #[cfg(feature = "text")]
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// [`Error::NoModel`] if the folder is not there; otherwise an error that names the file, field
    /// or tensor at fault, or the instruction set or GPU that cannot be used.
    pub fn build(self) -> Result<Classifier> {
        if !self.folder.is_dir() {
            return Err(Error::NoModel { path: self.folder });
        }
        let set = InstructionSet::choose(self.instruction_set)?;
        let config = Config::from_file(self.folder.join("config.json"))?;
        let checkpoint = Checkpoint::open(&self.folder)?;
        #[cfg(feature = "text")]
        let tokenizer = Tokenizer::from_folder(&self.folder)?;
        let loaded = match self.device {
            Device::Cpu => self.on_cpu(config, &checkpoint, set)?,
            Device::Cuda(ordinal) => self.on_gpu(config, &checkpoint, ordinal)?,
            Device::Auto => match self.on_gpu(config.clone(), &checkpoint, 0) {
                Err(error) if error.is_of_gpu() => self.on_cpu(config, &checkpoint, set)?,
                loaded => loaded?,
            },
        };
        let Loaded { engine, device, precision, threads } = loaded;
        let info = ModelInfo {
            folder: self.folder,
            dtypes: checkpoint.dtypes(),
            parameters: checkpoint.parameters(),
            checkpoint_bytes: checkpoint.bytes(),
            device,
            instruction_set: set,
            precision,
            threads,
        };
        Ok(Classifier {
            labels: engine.config().id2label.as_slice().into(),
            engine,
            info,
            #[cfg(feature = "text")]
            tokenizer,
            #[cfg(feature = "text")]
            truncation: self.truncation,
        })
    }

    fn on_cpu(
        &self,
        config: Config,
        checkpoint: &Checkpoint,
        set: InstructionSet,
    ) -> Result<Loaded> {
        let precision = self.precision_or(Precision::F32, checkpoint);
        let threads = match &self.pool {
            Some(pool) => Threads::from_pool(pool.clone()),
            None => Threads::new(self.threads.unwrap_or_else(Threads::default_count))?,
        };
        let count = threads.count();
        let engine = cpu::load(config, checkpoint, set, precision, threads)?;
        Ok(Loaded { engine, device: Device::Cpu, precision, threads: count })
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, config: Config, checkpoint: &Checkpoint, ordinal: usize) -> Result<Loaded> {
        let precision = self.precision_or(Precision::F16, checkpoint);
        let engine = crate::cuda::load(config, checkpoint, ordinal, precision)?;
        Ok(Loaded { engine, device: Device::Cuda(ordinal), precision, threads: 1 })
    }

    #[cfg(not(feature = "cuda"))]
    fn on_gpu(&self, _: Config, _: &Checkpoint, _: usize) -> Result<Loaded> {
        Err(Error::CudaNotBuilt)
    }

    /// The precision asked for, or that of the checkpoint, or the device's.
    fn precision_or(&self, device: Precision, checkpoint: &Checkpoint) -> Precision {
        let stored = if checkpoint.is_int8() { Precision::Int8 } else { device };
        self.precision.unwrap_or(stored)
    }
}

/// An engine, and what was chosen for it.
struct Loaded {
    engine: Box<dyn Forward>,
    device: Device,
    precision: Precision,
    threads: usize,
}

impl Classifier {
    /// Starts from a model folder in Hugging Face's layout: `config.json`, `model.safetensors` and
    /// `tokenizer.json` or `vocab.txt`. The files must not change while [`build`] reads them.
    ///
    /// [`build`]: ClassifierBuilder::build
    pub fn builder(folder: impl AsRef<Path>) -> ClassifierBuilder {
        ClassifierBuilder {
            folder: folder.as_ref().to_owned(),
            device: Device::default(),
            precision: None,
            threads: None,
            pool: None,
            instruction_set: None,
            #[cfg(feature = "text")]
            truncation: Truncation::default(),
        }
    }

    /// Logits of each row, row-major `[rows, labels]`.
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
    /// [`Error::EmptyBatch`], [`Error::TokenId`] and [`Error::TooManyTokens`]; on a GPU [`Error::Cuda`] and
    /// [`Error::CudaMemory`].
    pub fn logits(&self, batch: &TokenBatch) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        self.logits_into(batch, &mut logits)?;
        Ok(logits)
    }

    /// As [`logits`](Self::logits), into a vector that may be used again: what it held goes.
    ///
    /// Once a call has seen as many tokens and rows as later ones bring, those allocate nothing, unless
    /// they hand their work to a [`thread_pool`](ClassifierBuilder::thread_pool), whose queue may. (On a
    /// GPU, a size of batch that is new to it is prepared once.) On the processor a batch is computed in
    /// parts of at most 1024 tokens, which bounds the working memory: some 30 MB for a model of
    /// DistilBERT-base's size, for each call that runs at the same time.
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
    /// As for [`logits`](Self::logits). The vector is as it was if the batch is refused, and undefined if a GPU
    /// fails.
    pub fn logits_into(&self, batch: &TokenBatch, logits: &mut Vec<f32>) -> Result<()> {
        let config = self.config();
        batch.check(config.vocab_size, config.max_position_embeddings)?;
        logits.clear();
        logits.resize(batch.rows() * self.labels.len(), 0.0);
        self.engine.forward(batch, logits)
    }

    /// Predictions for rows of tokens, for callers that tokenize elsewhere.
    ///
    /// # Errors
    /// As for [`logits`](Self::logits).
    pub fn classify_tokens(&self, batch: &TokenBatch) -> Result<Vec<Prediction>> {
        let logits = self.logits(batch)?;
        let rows = logits.chunks_exact(self.labels.len()).enumerate();
        let prediction = |(row, logits): (usize, &[f32])| {
            self.prediction(logits.to_vec(), 0).of_tokens(batch.row(row).len())
        };
        Ok(rows.map(prediction).collect())
    }

    /// Classifies one text.
    ///
    /// # Errors
    /// With [`Truncation::Error`], [`Error::TooManyTokens`].
    #[cfg(feature = "text")]
    pub fn classify(&self, text: &str) -> Result<Prediction> {
        let mut predictions = self.classify_batch(&[text])?;
        predictions.pop().ok_or(Error::EmptyBatch)
    }

    /// Classifies many texts at once; predictions come in the order of the texts.
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
    /// [`Error::EmptyBatch`] without texts; with [`Truncation::Error`], [`Error::TooManyTokens`] for
    /// the first text that is too long.
    #[cfg(feature = "text")]
    pub fn classify_batch<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Prediction>> {
        let limit = self.config().max_position_embeddings;
        let texts = texts
            .iter()
            .enumerate()
            .map(|(row, text)| self.tokenizer.rows(row, text.as_ref(), limit, self.truncation))
            .collect::<Result<Vec<_>>>()?;
        let rows: Vec<&[u32]> =
            texts.iter().flat_map(|text| &text.rows).map(Vec::as_slice).collect();
        let logits = self.logits(&TokenBatch::from_rows(&rows)?)?;
        let mut logits = logits.chunks_exact(self.labels.len());
        let predictions = texts.iter().map(|text| {
            let windows: Vec<Prediction> = logits
                .by_ref()
                .take(text.rows.len())
                .map(|logits| self.prediction(logits.to_vec(), text.dropped_tokens))
                .collect();
            let prediction = match <[Prediction; 1]>::try_from(windows) {
                Ok([whole]) => whole,
                Err(windows) => Prediction::average(&windows, &text.text_tokens),
            };
            prediction.of_tokens(text.tokens)
        });
        Ok(predictions.collect())
    }

    pub(crate) fn prediction(&self, logits: Vec<f32>, dropped_tokens: usize) -> Prediction {
        Prediction::new(self.labels.clone(), logits, self.problem_type(), dropped_tokens)
    }

    #[cfg(feature = "explain")]
    pub(crate) fn engine(&self) -> &dyn Forward {
        self.engine.as_ref()
    }

    #[cfg(feature = "text")]
    pub(crate) fn truncation(&self) -> Truncation {
        self.truncation
    }

    /// The labels, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The model's configuration, labels completed.
    pub fn config(&self) -> &Config {
        self.engine.config()
    }

    /// What the head's outputs mean.
    pub fn problem_type(&self) -> ProblemType {
        self.config().problem_type_for(self.labels.len())
    }

    /// What was loaded and how it computes.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The model's tokenizer.
    #[cfg(feature = "text")]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

const _: () = {
    const fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Classifier>();
    shared_by_threads::<TokenBatch>();
    shared_by_threads::<Prediction>();
};
