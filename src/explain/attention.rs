//! [`AttentionWeights`]: who looks at whom.

use std::fmt;

use crate::error::{Error, Result};

/// The weights of attention in every layer and head, for one text.
#[derive(Clone, PartialEq)]
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

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Number of heads in each layer.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Number of tokens, special ones included.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The weights of one head, row-major `[tokens, tokens]`: a row says how much its token takes of
    /// each, and sums to 1.
    ///
    /// # Errors
    /// [`Error::NoAttentionHead`].
    pub fn head(&self, layer: usize, head: usize) -> Result<&[f32]> {
        let &Self { layers, heads, tokens, .. } = self;
        if layer >= layers || head >= heads {
            return Err(Error::NoAttentionHead { layer, head, layers, heads });
        }
        let size = tokens * tokens;
        Ok(&self.weights[(layer * heads + head) * size..][..size])
    }

    /// The mean over a layer's heads, row-major `[tokens, tokens]`.
    ///
    /// # Errors
    /// [`Error::NoAttentionHead`].
    pub fn mean(&self, layer: usize) -> Result<Vec<f32>> {
        let mut sums = vec![0f64; self.tokens * self.tokens];
        for head in 0..self.heads {
            for (sum, &weight) in sums.iter_mut().zip(self.head(layer, head)?) {
                *sum += f64::from(weight);
            }
        }
        Ok(sums.into_iter().map(|sum| (sum / self.heads as f64) as f32).collect())
    }

    /// Attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): how much of each token reaches
    /// `[CLS]` if every layer mixes half of what it had with half of what the mean of its heads takes.
    /// The shares sum to 1; they know of no label.
    pub fn rollout(&self) -> Vec<f32> {
        let size = self.tokens * self.tokens;
        let mut reached = vec![0f64; self.tokens];
        if let Some(first) = reached.first_mut() {
            *first = 1.0;
        }
        for layer in self.weights.chunks_exact(self.heads * size).rev() {
            let mut next: Vec<f64> = reached.iter().map(|share| share / 2.0).collect();
            for head in layer.chunks_exact(size) {
                for (share, row) in reached.iter().zip(head.chunks_exact(self.tokens)) {
                    for (next, &weight) in next.iter_mut().zip(row) {
                        *next += share * f64::from(weight) / (2 * self.heads) as f64;
                    }
                }
            }
            reached = next;
        }
        reached.into_iter().map(|share| share as f32).collect()
    }
}

impl fmt::Debug for AttentionWeights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, heads, tokens, .. } = self;
        write!(formatter, "AttentionWeights({layers} layers, {heads} heads, {tokens} tokens)")
    }
}
