//! [`Model`]: a classifier with a name, its queue and its workers.

use std::fmt;
use std::sync::Arc;

use distilbert::batcher::BatcherBuilder;
use distilbert::{Batcher, Classifier, Result};

/// Number of requests of the warm-up, for each processor.
const WARM_UP: usize = 4;

/// Number of tokens of each request of the warm-up.
const WARM_UP_TOKENS: usize = 128;

/// A model that a [`Server`](crate::Server) serves.
///
/// ```
/// use distilbert::Classifier;
/// use distilbert_server::Model;
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emotion");
/// // One thread per call: the workers of the queue run in parallel.
/// let classifier = Classifier::builder(folder).threads(1).build()?;
/// let model = Model::new("emotion", classifier)?;
/// assert_eq!(model.name(), "emotion");
/// # Ok::<(), distilbert::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    name: String,
    classifier: Arc<Classifier>,
    batcher: Batcher,
    source: Option<Arc<Source>>,
}

/// Functions that make a model again.
struct Source {
    load: Box<dyn Fn() -> Result<Classifier> + Send + Sync>,
    configure: Box<dyn Fn(BatcherBuilder) -> BatcherBuilder + Send + Sync>,
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Source")
    }
}

impl Model {
    /// Starts workers for a classifier and warms them up.
    ///
    /// # Errors
    /// Fails like [`BatcherBuilder::build`], with [`distilbert::InputError::NoTokenizer`], or with an error of the device.
    pub fn new(name: impl Into<String>, classifier: impl Into<Arc<Classifier>>) -> Result<Self> {
        Self::with_queue(name, classifier, |builder| builder)
    }

    /// Starts workers for a classifier, with settings of the queue, and warms them up.
    ///
    /// # Errors
    /// Fails like [`new`](Self::new).
    pub fn with_queue(
        name: impl Into<String>,
        classifier: impl Into<Arc<Classifier>>,
        configure: impl FnOnce(BatcherBuilder) -> BatcherBuilder,
    ) -> Result<Self> {
        let classifier = classifier.into();
        classifier.tokenizer()?;
        warm_up(&classifier)?;
        let batcher = configure(Batcher::builder(classifier.clone())).build()?;
        Ok(Self { name: name.into(), classifier, batcher, source: None })
    }

    /// Loads a model that can be reloaded while the server runs: [`Server::run`](crate::Server::run) calls the functions
    /// again when a reload is requested. Until the new model has been warmed up, both are in memory.
    ///
    /// ```
    /// use distilbert::Classifier;
    /// use distilbert_server::Model;
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/emotion");
    /// let load = move || Classifier::builder(folder).threads(1).build();
    /// let model = Model::load("emotion", load, |queue| queue.max_queued_requests(1000))?;
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// Fails like `load` or [`new`](Self::new).
    pub fn load(
        name: impl Into<String>,
        load: impl Fn() -> Result<Classifier> + Send + Sync + 'static,
        configure: impl Fn(BatcherBuilder) -> BatcherBuilder + Send + Sync + 'static,
    ) -> Result<Self> {
        let source = Source { load: Box::new(load), configure: Box::new(configure) };
        Self::of_source(name.into(), Arc::new(source))
    }

    fn of_source(name: String, source: Arc<Source>) -> Result<Self> {
        let model = Self::with_queue(name, (source.load)()?, &source.configure)?;
        Ok(Self { source: Some(source), ..model })
    }

    /// Loads the model again; `None` if it has no source.
    pub(crate) fn reload(&self) -> Option<Result<Self>> {
        let source = self.source.clone()?;
        Some(Self::of_source(self.name.clone(), source))
    }

    /// Returns the name in URLs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the classifier.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Returns the queue.
    pub fn batcher(&self) -> &Batcher {
        &self.batcher
    }
}

/// Computes on several threads at a time, so that working memory exists before the first request comes.
fn warm_up(classifier: &Classifier) -> Result<()> {
    let tokens = WARM_UP_TOKENS.min(classifier.max_tokens());
    let batch = distilbert::TokenBatch::from_rows(&[vec![0; tokens]])?;
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    std::thread::scope(|scope| {
        let compute = || (0..WARM_UP).try_for_each(|_| classifier.logits(&batch).map(drop));
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(compute)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.flatten().collect()
    })
}
