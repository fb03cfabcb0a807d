//! [`Pruned`]: a pruned model, ready to be written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Pruner;
use super::weights::Kept;
use crate::convert::{Folder, classifier_config, float_tensors};
use crate::cpu::layers::DenseLayer;
use crate::error::Result;
use crate::model::config::Config;
use crate::model::files::{CONFIG, read_json_object};

/// A pruned model.
pub struct Pruned<'p> {
    pruner: &'p Pruner,
    config: Config,
    plan: Vec<Kept>,
    layers: Vec<DenseLayer>,
    tokens: usize,
}

impl fmt::Debug for Pruned<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pruned").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Sizes of a layer before and after pruning.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PrunedLayer {
    /// Heads of the original layer, and those that are left.
    pub heads: [usize; 2],
    /// Width of the original feed-forward network, and of what is left of it.
    pub hidden_dim: [usize; 2],
    /// Expected loss of the removed heads and of the removed neurons, before the refit of other layers: half the
    /// squared change of the log-likelihood, to first order, per text. Only comparable within a model.
    pub losses: [f64; 2],
}

impl<'p> Pruned<'p> {
    pub(super) fn new(
        pruner: &'p Pruner,
        plan: Vec<Kept>,
        layers: Vec<DenseLayer>,
        tokens: usize,
    ) -> Self {
        let config = config(&pruner.config, &plan);
        Self { pruner, config, plan, layers, tokens }
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the number of tokens for which multiply-adds are counted.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Returns the share of the original's multiply-adds that is left.
    pub fn kept_share(&self) -> f64 {
        let [before, after] = [&self.pruner.config, &self.config]
            .map(|config| config.multiply_adds(self.tokens, config.id2label.len()) as f64);
        after / before
    }

    /// Returns the sizes of each layer.
    pub fn layers(&self) -> Vec<PrunedLayer> {
        let layers = self.pruner.orders.iter().zip(&self.plan);
        let layer = layers.map(|(orders, kept)| {
            let heads = [orders.heads.items.len(), kept.heads.len()];
            let hidden_dim = [orders.neurons.items.len(), kept.neurons.len()];
            let lost = |losses: &[f64], [before, after]: [usize; 2]| {
                losses[..before - after].iter().sum::<f64>()
            };
            let losses =
                [lost(&orders.heads.losses, heads), lost(&orders.neurons.losses, hidden_dim)];
            PrunedLayer { heads, hidden_dim, losses }
        });
        layer.collect()
    }

    /// Writes the model as a folder in Hugging Face's layout, with the weights in the original's type.
    ///
    /// # Errors
    /// [`CheckpointError::Exists`](crate::CheckpointError::Exists) if `to` already has one of the files;
    /// [`Error::Io`](crate::Error::Io).
    pub fn write(&self, to: impl AsRef<Path>) -> Result<()> {
        let Pruner { checkpoint, from, .. } = self.pruner;
        let mut tensors = float_tensors(checkpoint, None)?;
        if self.layers_differ() {
            for (index, layer) in self.layers.iter().enumerate() {
                self.pruner.rounding().replace(&mut tensors, index, layer);
            }
        }
        let mut json = read_json_object(&from.join(CONFIG))?;
        write_shapes(&mut json, &self.config);
        let config = classifier_config(json, &self.config, checkpoint, None);
        Folder { config, tensors, metadata: ("format", "pt") }.write(checkpoint, from, to.as_ref())
    }

    /// Returns `true` unless every layer keeps everything.
    fn layers_differ(&self) -> bool {
        self.layers().iter().any(|PrunedLayer { heads, hidden_dim, .. }| {
            heads[0] != heads[1] || hidden_dim[0] != hidden_dim[1]
        })
    }
}

/// Returns the configuration of a model that keeps these heads and neurons.
fn config(original: &Config, plan: &[Kept]) -> Config {
    let mut config = original.clone();
    config.pruned_heads = BTreeMap::new();
    for (index, kept) in plan.iter().enumerate() {
        let heads = original.kept_heads(index);
        let kept: Vec<usize> = kept.heads.iter().map(|&head| heads[head]).collect();
        let pruned = (0..original.n_heads).filter(|head| !kept.contains(head));
        let pruned: Vec<usize> = pruned.collect();
        if !pruned.is_empty() {
            config.pruned_heads.insert(index, pruned);
        }
    }
    config.hidden_dims = plan.iter().map(|kept| kept.neurons.len()).collect();
    config.hidden_dim = config.largest_hidden_dim();
    if config.hidden_dims.iter().all(|&width| width == config.hidden_dim) {
        config.hidden_dims.clear();
    }
    config
}

/// Writes the shapes of the layers to the fields of `config.json`.
fn write_shapes(json: &mut Map<String, Value>, config: &Config) {
    for field in ["pruned_heads", "hidden_dims", "intermediate_size"] {
        json.remove(field);
    }
    json.insert("hidden_dim".to_owned(), json!(config.hidden_dim));
    if !config.pruned_heads.is_empty() {
        let heads = config.pruned_heads.iter();
        let heads: Map<_, _> =
            heads.map(|(layer, heads)| (layer.to_string(), json!(heads))).collect();
        json.insert("pruned_heads".to_owned(), Value::Object(heads));
    }
    if !config.hidden_dims.is_empty() {
        json.insert("hidden_dims".to_owned(), json!(config.hidden_dims));
    }
}
