//! [`AttentionWeights`]: the attention probabilities of a text.

use std::fmt;

use crate::error::{ExplainError, Result};

/// Attention probabilities (softmax outputs) of one text in every layer and head.
///
/// With the feature `serde`, they serialize as an object with `layers`, `heads`, `tokens` and `weights`; `weights` is
/// row-major `[layers, heads, tokens, tokens]`.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AttentionWeights {
    layers: usize,
    heads: usize,
    tokens: usize,
    /// `[layers, heads, tokens, tokens]`
    weights: Vec<f32>,
}

impl AttentionWeights {
    pub(super) fn new(layers: usize, heads: usize, tokens: usize, weights: Vec<f32>) -> Self {
        Self { layers, heads, tokens, weights }
    }

    /// Returns the number of layers.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Returns the number of heads per layer.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Returns the number of tokens, special tokens included.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Returns the probabilities of one head, row-major `[query tokens, key tokens]`. Each row sums to 1, except that a
    /// [pruned head](crate::Config::pruned_heads) has only zeros.
    ///
    /// # Errors
    /// [`ExplainError::NoAttentionHead`] if there is no such layer or head.
    pub fn head(&self, layer: usize, head: usize) -> Result<&[f32]> {
        let &Self { layers, heads, tokens, .. } = self;
        if layer >= layers || head >= heads {
            return Err(ExplainError::NoAttentionHead { layer, head, layers, heads }.into());
        }
        let size = tokens * tokens;
        Ok(&self.weights[(layer * heads + head) * size..][..size])
    }

    /// Computes the mean over the heads that a layer has, row-major `[query tokens, key tokens]`.
    ///
    /// # Errors
    /// [`ExplainError::NoAttentionHead`] if there is no such layer.
    pub fn mean(&self, layer: usize) -> Result<Vec<f32>> {
        let size = self.tokens * self.tokens;
        let mut sums = vec![0f64; size];
        self.head(layer, 0)?;
        let heads = &self.weights[layer * self.heads * size..][..self.heads * size];
        let kept = self.kept(heads);
        for head in &kept {
            for (sum, &weight) in sums.iter_mut().zip(*head) {
                *sum += f64::from(weight);
            }
        }
        Ok(sums.into_iter().map(|sum| (sum / kept.len() as f64) as f32).collect())
    }

    /// Computes attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): the share of each token that reaches
    /// `[CLS]` if each layer outputs `(x + A·x) / 2`, where `A` is the mean of its heads.
    ///
    /// There is one share per token; they sum to 1 and do not depend on any label.
    pub fn rollout(&self) -> Vec<f32> {
        let size = self.tokens * self.tokens;
        let mut reached = vec![0f64; self.tokens];
        if let Some(first) = reached.first_mut() {
            *first = 1.0;
        }
        for layer in self.weights.chunks_exact(self.heads * size).rev() {
            let mut next: Vec<f64> = reached.iter().map(|share| share / 2.0).collect();
            let kept = self.kept(layer);
            for head in &kept {
                for (share, row) in reached.iter().zip(head.chunks_exact(self.tokens)) {
                    for (next, &weight) in next.iter_mut().zip(row) {
                        *next += share * f64::from(weight) / (2 * kept.len()) as f64;
                    }
                }
            }
            reached = next;
        }
        reached.into_iter().map(|share| share as f32).collect()
    }
}

impl AttentionWeights {
    /// Returns the heads of a layer that were not pruned.
    fn kept<'a>(&self, layer: &'a [f32]) -> Vec<&'a [f32]> {
        let is_kept = |head: &&[f32]| head[..self.tokens].iter().any(|&weight| weight > 0.0);
        layer.chunks_exact(self.tokens * self.tokens).filter(is_kept).collect()
    }
}

impl fmt::Debug for AttentionWeights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AttentionWeights")
            .field("layers", &self.layers)
            .field("heads", &self.heads)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
