//! Shapes of single layers: the heads and the width that pruning has left them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Config, LARGEST_SIZE, mismatch};
use crate::error::ConfigError;

/// Sizes in which layers of one model may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerShape {
    /// Attention heads, at least one.
    pub heads: usize,
    /// Width of the feed-forward network's inner layer.
    pub hidden_dim: usize,
}

impl Config {
    /// Returns the shape of a layer, by its index.
    ///
    /// ```
    /// use distilbert::Config;
    ///
    /// let config = Config::from_file("models/emotion/config.json")?;
    /// let shape = config.layer(0);
    /// assert_eq!((shape.heads, shape.hidden_dim), (12, 1536));
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn layer(&self, index: usize) -> LayerShape {
        let pruned = self.pruned_heads.get(&index).map_or(0, Vec::len);
        LayerShape {
            heads: self.n_heads - pruned,
            hidden_dim: self.hidden_dims.get(index).copied().unwrap_or(self.hidden_dim),
        }
    }

    /// Returns the heads that a layer has kept, ascending.
    pub(crate) fn kept_heads(&self, index: usize) -> Vec<usize> {
        let pruned = self.pruned_heads.get(&index).map_or(&[][..], Vec::as_slice);
        (0..self.n_heads).filter(|head| pruned.binary_search(head).is_err()).collect()
    }

    /// Returns `true` if no heads were pruned and all layers have the same width, so that Transformers can load the model.
    pub fn is_uniform(&self) -> bool {
        self.pruned_heads.is_empty()
            && self.hidden_dims.iter().all(|&width| width == self.hidden_dim)
    }

    /// Returns the width of the widest feed-forward network.
    pub fn largest_hidden_dim(&self) -> usize {
        self.hidden_dims.iter().copied().max().unwrap_or(self.hidden_dim)
    }

    /// Returns the number of multiply-adds with which the CPU computes one text of `tokens` tokens in f32 or f16: every
    /// product of the layers and the head for the real tokens, and in the last layer only what `[CLS]` needs.
    ///
    /// There, the key and value matrices are applied to the one query and to the averages of tokens. Int8, bf16 and GPUs
    /// compute keys and values of each token instead, which at DistilBERT's proportions adds 3%.
    ///
    /// ```
    /// use distilbert::Config;
    ///
    /// let config = Config::from_file("models/emotion/config.json")?;
    /// assert!(config.multiply_adds(64, 7) > 2 * config.multiply_adds(32, 7));
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn multiply_adds(&self, tokens: usize, labels: usize) -> u64 {
        let dim = self.dim as u64;
        let layer = |index: usize| {
            let LayerShape { heads, hidden_dim } = self.layer(index);
            let is_last = index + 1 == self.n_layers;
            let [head, neuron] = self.layer_costs(tokens, is_last);
            heads as u64 * head + hidden_dim as u64 * neuron
        };
        (0..self.n_layers).map(layer).sum::<u64>() + dim * (dim + labels as u64)
    }

    /// Returns the multiply-adds of one head and of one neuron in a layer, for a text of `tokens` tokens.
    pub(crate) fn layer_costs(&self, tokens: usize, is_last: bool) -> [u64; 2] {
        let [dim, size, tokens] = [self.dim, self.head_size(), tokens].map(|size| size as u64);
        if is_last {
            // The four matrices for `[CLS]`; scores and averages of the layer's inputs themselves.
            return [4 * dim * size + 2 * tokens * dim, 2 * dim];
        }
        [4 * dim * size * tokens + 2 * tokens * tokens * size, 2 * dim * tokens]
    }
}

/// Reads Transformers' `pruned_heads`: the heads that a layer lost, by the layer's index as a string.
pub(super) fn pruned_heads(
    json: &Map<String, Value>,
    n_layers: usize,
    n_heads: usize,
) -> Result<BTreeMap<usize, Vec<usize>>, ConfigError> {
    const FIELD: &str = "pruned_heads";
    let Some(value) = json.get(FIELD).filter(|value| !value.is_null()) else {
        return Ok(BTreeMap::new());
    };
    let expected = || {
        format!(
            "lists of some but not all heads, distinct and from 0 to {}, keyed by layer index from 0 to {}",
            n_heads - 1,
            n_layers - 1
        )
    };
    let layer = |(layer, heads): (&String, &Value)| {
        let index = layer.parse().ok().filter(|index: &usize| index.to_string() == *layer);
        let layer = index.filter(|&index| index < n_layers)?;
        let below = |head: &Value| head.as_u64().filter(|&head| head < n_heads as u64);
        let heads = heads.as_array()?.iter().map(|head| below(head).map(|head| head as usize));
        let mut heads = heads.collect::<Option<Vec<usize>>>()?;
        heads.sort_unstable();
        let are_distinct = heads.windows(2).all(|pair| pair[0] < pair[1]);
        (are_distinct && heads.len() < n_heads).then_some((layer, heads))
    };
    let layers = value.as_object().map(|layers| layers.iter().map(layer));
    let found = layers.and_then(|layers| layers.collect::<Option<BTreeMap<_, _>>>());
    let mut found = found.ok_or_else(|| mismatch(FIELD, &expected(), value))?;
    found.retain(|_, heads| !heads.is_empty());
    Ok(found)
}

/// Reads `hidden_dims`, the widths of the layers' feed-forward networks.
pub(super) fn hidden_dims(
    json: &Map<String, Value>,
    n_layers: usize,
) -> Result<Vec<usize>, ConfigError> {
    const FIELD: &str = "hidden_dims";
    let Some(value) = json.get(FIELD).filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let width = |width: &Value| {
        let width = width.as_u64().and_then(|width| usize::try_from(width).ok());
        width.filter(|width| (1..=LARGEST_SIZE).contains(width))
    };
    let widths = value.as_array().map(|widths| widths.iter().map(width));
    let widths = widths.and_then(|widths| widths.collect::<Option<Vec<_>>>());
    widths.filter(|widths| widths.len() == n_layers).ok_or_else(|| {
        let expected = format!("a list of {n_layers} whole numbers from 1 to {LARGEST_SIZE}");
        mismatch(FIELD, &expected, value)
    })
}
