//! Options and progress of pruning.

use std::fmt;
use std::sync::Arc;

/// The size to prune to.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PruneTarget {
    /// Largest share of the model's [multiply-adds](crate::Config::multiply_adds) to keep, above 0 and at most 1.
    Keep(f64),
    /// Feed-forward width of every layer. Layers keep all heads.
    HiddenDim(usize),
    /// Maximum time for one text of [`PruneOptions::tokens`] tokens, in milliseconds, in f32 on this machine with the
    /// threads of the options. The costs of heads and neurons are measured first, so the result depends on the machine.
    Milliseconds(f64),
}

/// A stage of pruning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PruneStage {
    /// Heads and neurons are ordered.
    Select,
    /// Layers are cut and refit.
    Refit,
}

/// Progress within a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneProgress {
    /// Current stage.
    pub stage: PruneStage,
    /// Steps that are done.
    pub done: usize,
    /// Steps of the stage.
    pub total: usize,
}

type Listener = Arc<dyn Fn(PruneProgress) + Send + Sync>;

/// Options for pruning.
///
/// ```
/// use distilbert::prune::PruneOptions;
///
/// let options = PruneOptions::default().per_layer(true).seed(1).threads(2);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct PruneOptions {
    pub(super) per_layer: bool,
    pub(super) seed: u64,
    pub(super) threads: Option<usize>,
    pub(super) tokens: Option<usize>,
    listener: Option<Listener>,
}

impl PruneOptions {
    /// If `true`, lets each layer keep its own number of heads and neurons, which gives the original's labels more often
    /// for the same cost; only this engine loads such a model. By default, layers keep all heads and the same number of neurons, so that
    /// Transformers loads the model too.
    pub fn per_layer(mut self, per_layer: bool) -> Self {
        self.per_layer = per_layer;
        self
    }

    /// Sets the seed for drawing the labels whose gradients are computed; by default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of threads; by default the number of physical cores. 0 means 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// Sets the text length, in tokens, for which costs are computed; by default the mean of the calibration texts. In
    /// long texts, heads cost more and the last layer costs less. 0 means 1.
    pub fn tokens(mut self, tokens: usize) -> Self {
        self.tokens = Some(tokens.max(1));
        self
    }

    /// Sets a function that is called as pruning progresses.
    pub fn on_progress(mut self, listener: impl Fn(PruneProgress) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    pub(super) fn report(&self, stage: PruneStage, done: usize, total: usize) {
        if let Some(listener) = &self.listener {
            listener(PruneProgress { stage, done, total });
        }
    }
}

impl fmt::Debug for PruneOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { per_layer, seed, threads, tokens, listener: _ } = self;
        formatter
            .debug_struct("PruneOptions")
            .field("per_layer", per_layer)
            .field("seed", seed)
            .field("threads", threads)
            .field("tokens", tokens)
            .finish_non_exhaustive()
    }
}
