//! Pruning without retraining: a smaller model that gives nearly the same answers (feature `prune`).
//!
//! A [`Pruner`] runs calibration texts, which need no labels, through a model. In each layer it finds the neurons of the
//! feed-forward network and the attention heads whose removal changes the logits least: a greedy optimal brain surgeon, weighted by
//! the gradients of the model's own predictions. [`Pruner::prune`] then removes them, layer by layer, and refits the
//! matrices that follow, `attention.out_lin` and `ffn.lin2`, with their biases, by least squares, so that they turn what the smaller
//! model computes into the original's sums as closely as possible. The matrices before them are refit to what is left of
//! the difference. Some texts are held out to choose the ridge.
//!
//! By default, layers keep all heads and the same number of neurons, so that Transformers loads the model as is. With
//! [`PruneOptions::per_layer`], layers differ in [`Config::pruned_heads`] and [`Config::hidden_dims`], and only this
//! engine loads the model.
//!
//! The result is the same for the same texts, options and instruction set, on any number of threads.
//!
//! ```no_run
//! use distilbert::prune::{Calibration, PruneOptions, PruneTarget, Pruner};
//! use distilbert::Tokenizer;
//!
//! let mut calibration = Calibration::new(2048, 0);
//! for text in std::fs::read_to_string("texts.txt")?.lines() {
//!     calibration.push(text);
//! }
//! let texts = calibration.tokenize(&Tokenizer::from_folder("models/emotion")?)?;
//! let pruner = Pruner::new("models/emotion", &texts, PruneOptions::default())?;
//! let pruned = pruner.prune(PruneTarget::Keep(0.5))?;
//! pruned.write("emotion-half")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod budget;
#[cfg(feature = "text")]
mod calibration;
mod linalg;
mod march;
mod moments;
mod options;
mod pruned;
mod refit;
mod selection;
mod sensitivity;
mod timing;
mod weights;

use std::path::{Path, PathBuf};

use self::budget::{Costs, LayerOrders, per_layer, uniform, uniform_within};
#[cfg(feature = "text")]
pub use self::calibration::Calibration;
use self::march::March;
use self::moments::Moments;
pub use self::options::{PruneOptions, PruneProgress, PruneStage, PruneTarget};
pub use self::pruned::{Pruned, PrunedLayer};
use self::selection::Layer;
use self::sensitivity::{Sensitivity, sensitivities};
use self::weights::{Kept, Rounding};
use crate::cpu::layers::{DenseLayer, LayerActivations, LayerMemory, LayerRunner, LayerWeights};
use crate::cpu::{Rows, Threads};
use crate::error::{CheckpointError, PruneError, Result};
use crate::input::batch::{SubBatch, TokenBatch};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::model::files::{CONFIG, ModelFiles};

/// Minimum number of calibration texts.
const LEAST_TEXTS: usize = 64;

/// Maximum number of tokens of all calibration texts. Four states of each are in memory: 1.6 GB at DistilBERT-base's
/// size.
const MOST_TOKENS: usize = 1 << 17;

/// One text in so many is held out to choose ridges.
const HELD_BACK: usize = 8;

/// Tokens that a layer computes at once.
const SUB_BATCH_TOKENS: usize = 1024;

/// A model whose heads and neurons have been ranked with calibration texts, ready to be pruned to any size.
pub struct Pruner {
    from: PathBuf,
    checkpoint: Checkpoint,
    config: Config,
    layers: Vec<DenseLayer>,
    runner: LayerRunner,
    /// The texts that moments are fit on, and those that are held out.
    parts: [TokenBatch; 2],
    orders: Vec<LayerOrders>,
    options: PruneOptions,
}

impl std::fmt::Debug for Pruner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("Pruner");
        debug.field("from", &self.from).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Pruner {
    /// Loads a model folder and ranks its heads and neurons with calibration texts, given as rows of token ids in random order.
    ///
    /// # Errors
    /// [`PruneError::TooFewTexts`] and [`PruneError::TooManyTokens`]; [`PruneError::SingularStatistics`] if the texts
    /// hardly differ; [`PruneError::Quantized`]; the errors of [`Classifier::logits`](crate::Classifier::logits) for
    /// the texts and those of [`ClassifierBuilder::build`](crate::ClassifierBuilder::build) for the model.
    pub fn new(from: impl AsRef<Path>, texts: &TokenBatch, options: PruneOptions) -> Result<Self> {
        let from = from.as_ref();
        if !from.is_dir() {
            return Err(CheckpointError::NoModel { path: from.to_owned() }.into());
        }
        let config = Config::from_file(from.join(CONFIG))?;
        let checkpoint = Checkpoint::open(&ModelFiles::Folder(from.to_owned()))?;
        if checkpoint.is_int8() {
            return Err(PruneError::Quantized.into());
        }
        let (config, layers) = weights::load(config, &checkpoint)?;
        texts.check(config.vocab_size, config.max_position_embeddings)?;
        check_amount(texts)?;
        let threads = options.threads.unwrap_or_else(Threads::default_count);
        let runner = LayerRunner::load(config.clone(), &checkpoint, threads)?;
        let held = texts.rows() / HELD_BACK;
        let parts = [0..texts.rows() - held, texts.rows() - held..texts.rows()].map(|rows| {
            let mut part = TokenBatch::default();
            part.append(texts, rows);
            part
        });
        let from = from.to_owned();
        let orders = Vec::new();
        let mut pruner = Self { from, checkpoint, config, layers, runner, parts, orders, options };
        pruner.orders = pruner.order_layers()?;
        Ok(pruner)
    }

    /// Returns the configuration of the original model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the mean number of tokens of the calibration texts, rounded.
    pub fn mean_tokens(&self) -> usize {
        let [tokens, rows] = [TokenBatch::tokens, TokenBatch::rows]
            .map(|count| self.parts.iter().map(count).sum::<usize>());
        ((tokens + rows / 2) / rows).max(1)
    }

    /// Removes heads and neurons and refits what follows them.
    ///
    /// # Errors
    /// [`PruneError::Share`], [`PruneError::Budget`] and [`PruneError::HiddenDim`] for targets that no model meets;
    /// [`PruneError::Time`] for a time that is not above 0; [`PruneError::SingularStatistics`].
    pub fn prune(&self, target: PruneTarget) -> Result<Pruned<'_>> {
        let plan = self.plan(target)?;
        let mut march = March::new(self);
        for (index, kept) in plan.iter().enumerate() {
            self.options.report(PruneStage::Refit, index, plan.len());
            march.layer(index, kept)?;
        }
        self.options.report(PruneStage::Refit, plan.len(), plan.len());
        let layers = march.finish();
        Ok(Pruned::new(self, plan, layers, self.tokens()))
    }

    /// Returns the heads and neurons that each layer keeps.
    fn plan(&self, target: PruneTarget) -> Result<Vec<Kept>> {
        let tokens = self.tokens();
        let plan = if self.options.per_layer { per_layer } else { uniform_within };
        let found = match target {
            PruneTarget::HiddenDim(width) => uniform(&self.orders, width),
            PruneTarget::Keep(share) if share > 0.0 && share <= 1.0 => {
                let whole = self.config.multiply_adds(tokens, self.config.id2label.len()) as f64;
                let costs = Costs::multiply_adds(&self.config, tokens);
                plan(&self.orders, &costs, share * whole)
            }
            PruneTarget::Keep(share) => Err(PruneError::Share { found: share }),
            PruneTarget::Milliseconds(time) if time > 0.0 => {
                plan(&self.orders, &timing::measure(self, tokens)?, time)
            }
            PruneTarget::Milliseconds(time) => Err(PruneError::Time { found: time }),
        };
        Ok(found?)
    }

    /// Returns the length of the texts whose cost counts.
    fn tokens(&self) -> usize {
        self.options.tokens.unwrap_or_else(|| self.mean_tokens())
    }

    /// Runs the model over the texts, and orders the heads and neurons of each layer.
    fn order_layers(&self) -> Result<Vec<LayerOrders>> {
        let layers = self.layers.len();
        self.options.report(PruneStage::Select, 0, layers + 1);
        let seed = self.options.seed;
        let sensitivities = sensitivities(&self.runner, &self.config, &self.parts[0], seed);
        let mut orders = Vec::new();
        let batch = &self.parts[0];
        let mut states = self.runner.lead(|leader| self.runner.embed(leader, batch));
        for (index, sensitivity) in sensitivities.iter().enumerate() {
            self.options.report(PruneStage::Select, index + 1, layers + 1);
            let layer = &self.layers[index];
            let mut context = Moments::new(layer.attention_output.weight.inputs, 0);
            let mut inner = Moments::new(layer.feed_forward_out.weight.inputs, 0);
            self.each_sub_batch(batch, |mut leader, sub, memory| {
                let place = sub.tokens.start * self.config.dim..sub.tokens.end * self.config.dim;
                let own = (index, LayerWeights::Own);
                let input = (sub, &states[place.clone()]);
                let found = self.runner.run(leader.reborrow(), own, input, memory);
                context.add(leader.reborrow(), found.context, nothing(found));
                inner.add(leader, found.inner, nothing(found));
                if index + 1 < layers {
                    states[place].copy_from_slice(found.states);
                }
            });
            orders.push(self.order_layer(index, sensitivity, [context, inner])?);
        }
        self.options.report(PruneStage::Select, layers + 1, layers + 1);
        Ok(orders)
    }

    fn order_layer(
        &self,
        index: usize,
        sensitivity: &Sensitivity,
        [context, inner]: [Moments; 2],
    ) -> Result<LayerOrders, PruneError> {
        let layer = &self.layers[index];
        let outputs = self.config.dim;
        let singular = |matrix| PruneError::SingularStatistics { layer: index, matrix };
        let attention = Layer {
            weight: &layer.attention_output.weight.values,
            outputs,
            covariance: &context.central().inputs,
            sensitivity: &sensitivity.attention,
        };
        let heads = attention.order_heads(self.config.head_size());
        let feed_forward = Layer {
            weight: &layer.feed_forward_out.weight.values,
            outputs,
            covariance: &inner.central().inputs,
            sensitivity: &sensitivity.feed_forward,
        };
        let neurons = self.runner.lead(|leader| feed_forward.order_inputs(leader));
        Ok(LayerOrders {
            heads: heads.ok_or_else(|| singular("attention.out_lin"))?,
            neurons: neurons.ok_or_else(|| singular("ffn.lin2"))?,
        })
    }

    /// Calls `work` with each part of a batch that a layer computes at once.
    fn each_sub_batch(
        &self,
        batch: &TokenBatch,
        mut work: impl FnMut(crate::cpu::Leader<'_>, &SubBatch<'_>, &mut LayerMemory) + Send,
    ) {
        let mut memory = LayerMemory::default();
        self.runner.lead(|mut leader| {
            for sub in batch.sub_batches(SUB_BATCH_TOKENS) {
                work(leader.reborrow(), &sub, &mut memory);
            }
        });
    }

    /// Returns the rounding of the weights that are written.
    fn rounding(&self) -> Rounding {
        Rounding::of(&self.checkpoint)
    }
}

/// Returns rows without values, as many as a layer has computed.
fn nothing(found: LayerActivations<'_>) -> Rows<'static> {
    Rows { values: &[], stride: 0, count: found.context.count }
}

/// Checks that there are enough texts for moments, and not more than memory should hold.
fn check_amount(texts: &TokenBatch) -> Result<(), PruneError> {
    let (rows, tokens) = (texts.rows(), texts.tokens());
    if rows < LEAST_TEXTS {
        return Err(PruneError::TooFewTexts { found: rows, needed: LEAST_TEXTS });
    }
    if tokens > MOST_TOKENS {
        return Err(PruneError::TooManyTokens { found: tokens, limit: MOST_TOKENS });
    }
    Ok(())
}
