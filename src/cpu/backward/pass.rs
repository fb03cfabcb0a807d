//! The steps of a backward pass.

use std::ops::Range;

use super::activation::{ActivationBackward, add_bias_shares};
use super::attention::{AttentionBackward, AttentionBackwardScratch, Gradients};
use super::constant_attention::ConstantAttentionBackward;
use super::layer_norm::NormBackward;
use super::saved::{SavedActivations, SavedLayer};
use super::sums::Sums;
use super::transposed::{Transposed, TransposedLayer};
use crate::attribution::{ActivationRule, AttentionRule, NormRule, Rules, Shares};
use crate::cpu::executor::Executor;
use crate::cpu::forward::PackedModel;
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::gemm::weight::{FloatWeight, Weight};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::{Attention, Queries};
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::sequences::Sequences;
use crate::cpu::workspace::{Workspace, inner_stride};
use crate::model::weights::Layer;

/// Working memory of attention's backward pass.
#[derive(Default)]
pub(super) struct AttentionMemory {
    /// Scratch of each thread.
    pub threads: Vec<AttentionBackwardScratch>,
    /// Amounts of the vectors in the last layer's gradients: those through values, and those through keys.
    pub amounts: [AlignedVec; 2],
    /// `[sequences · heads]` vectors of the gradients through values, as many of those through keys if these have
    /// gradients, and the gradients of first tokens.
    pub vectors: AlignedVec,
    /// Gradients that belong to `vectors` between the two feed-forward layers.
    pub inner_vectors: AlignedVec,
}

/// Buffers of a backward pass, besides those left by the forward pass.
pub(super) struct Memory<'a, W: Weight> {
    pub workspace: &'a mut Workspace<W>,
    pub attention: &'a mut AttentionMemory,
    pub saved: &'a mut SavedActivations,
    pub sums: &'a mut Sums,
}

/// The steps of a backward pass over the [`Workspace`] left by the forward pass.
pub(super) struct BackwardPass<'a, W: Weight> {
    pub model: &'a PackedModel<W>,
    pub executor: Executor<'a>,
    pub transposed: &'a Transposed<W>,
    pub rules: Rules,
    pub directions: Directions,
}

/// A layer, its transposed weights and its saved activations.
pub(super) struct LayerBackward<'a, W: Weight> {
    pub layer: &'a Layer<PackedMatrix<W>>,
    pub transposed: &'a TransposedLayer<W>,
    pub saved: &'a mut SavedLayer,
}

/// Factors of the embeddings' gradients.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directions {
    /// The embeddings as the first layer reads them.
    Embeddings,
    /// Any other directions.
    Others,
}

impl<W: FloatWeight> BackwardPass<'_, W> {
    /// Returns `true` if the first layer's gradients stop at its queries, keys and values. `x · (g W)` is `(W x) · g`,
    /// and for the embeddings the forward pass has saved `W x`, so no product is needed.
    ///
    /// A model of one layer is excluded, since its last layer computes only the queries of first tokens.
    pub fn stops_at_projections(&self) -> bool {
        self.directions == Directions::Embeddings && self.model.layers.len() > 1
    }

    /// Backpropagates the gradients of the logits to those of the embeddings, in `hidden`, or to where they stop.
    /// `gates` has the fraction of a gradient that each unit of the head's ReLU passes.
    pub fn backpropagate(
        &mut self,
        memory: Memory<'_, W>,
        (logit_gradients, gates): (&[f32], &[f32]),
    ) {
        let Memory { workspace, attention, saved, sums } = memory;
        let (model, transposed) = (self.model, self.transposed);
        let sequences = &workspace.sequences;
        sums.reset(sequences.len(), sequences.tokens(), model.config.n_heads);
        self.head(workspace, (logit_gradients, gates), sums);
        let layers = model.layers.iter().zip(&transposed.layers).zip(&mut saved.layers).rev();
        let mut layers =
            layers.map(|((layer, transposed), saved)| LayerBackward { layer, transposed, saved });
        if let Some(mut last) = layers.next() {
            self.last_layer(&mut last, workspace, attention, sums);
        }
        // The last layer leaves gradients as spreads only for the next layer.
        let mut is_spread = self.rules.layer_norm == NormRule::HoldDeviation;
        while let Some(mut layer) = layers.next() {
            self.feed_forward(
                &mut layer,
                std::mem::take(&mut is_spread),
                workspace,
                attention,
                sums,
            );
            self.attention(&mut layer, workspace, attention, sums);
            if layers.len() > 0 || !self.stops_at_projections() {
                self.projections(layer.transposed, workspace);
            }
        }
    }

    /// Returns the indices of those that have gradients: 0 for queries, 1 for keys, 2 for values.
    pub fn projected(&self) -> Range<usize> {
        if self.rules.attention == AttentionRule::HoldWeights { 2..3 } else { 0..3 }
    }

    /// Backpropagates through the head: gradients of logits → gradients of `first_tokens`.
    fn head(
        &mut self,
        workspace: &mut Workspace<W>,
        (logit_gradients, gates): (&[f32], &[f32]),
        sums: &mut Sums,
    ) {
        let Workspace { first_tokens, pooled, linear, .. } = workspace;
        let (head, transposed, dim) = (&self.model.head, self.transposed, self.model.config.dim);
        Product::dense(&transposed.classifier, Epilogue::Bias, logit_gradients).multiply(
            &mut self.executor,
            linear,
            (&mut *first_tokens, dim),
        );
        for ((gradient, gate), pooled) in first_tokens.iter().zip(gates).zip(pooled.iter_mut()) {
            *pooled = gradient * gate;
        }
        Product::dense(&transposed.pre_classifier, Epilogue::Bias, pooled).multiply(
            &mut self.executor,
            linear,
            (first_tokens, dim),
        );
        let logits = logit_gradients.chunks_exact(head.outputs);
        for ((shares, logits), pooled) in
            sums.rows.iter_mut().zip(logits).zip(pooled.chunks_exact(dim))
        {
            shares.bias += dot_f64(logits, &head.classifier.bias);
            shares.bias += dot_f64(pooled, &head.pre_classifier.bias);
        }
    }

    /// Backpropagates through a layer's feed-forward network: `hidden` → `hidden`, gradients of the sum of attention's
    /// output and the layer's input. If the last layer has left spreads, whose tokens differ only in a factor, the
    /// first product takes the spreads' vectors rather than every token.
    fn feed_forward(
        &mut self,
        layer: &mut LayerBackward<'_, W>,
        is_spread: bool,
        workspace: &mut Workspace<W>,
        attention: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Workspace { hidden, inner, linear, sequences, .. } = workspace;
        self.feed_forward_norm(layer, hidden, &mut sums.tokens);
        if is_spread {
            self.spread_feed_forward_out(layer, linear, attention, sequences, inner);
        } else {
            self.feed_forward_out(layer, linear, hidden, inner);
        }
        self.feed_forward_in(layer, linear, inner, hidden, &mut sums.tokens);
    }

    /// Backpropagates through a layer's attention: `hidden` → gradients of queries, keys and values.
    fn attention(
        &mut self,
        layer: &mut LayerBackward<'_, W>,
        workspace: &mut Workspace<W>,
        attention: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Workspace { hidden, query_key_value, context, linear, sequences, .. } = workspace;
        let LayerBackward { layer, transposed, saved } = layer;
        let (head_size, executor) = (self.model.config.head_size(), &mut self.executor);
        let width = layer.attention_output.weight.inputs();
        let (heads, len) = (width / head_size, sequences.tokens() * width);
        let context = &mut context[..len];
        Product::dense(&transposed.attention_output, Epilogue::Bias, hidden).multiply(
            executor,
            linear,
            (&mut *context, width),
        );
        let (query, key_value) = query_key_value.split_at_mut(len);
        let (key, value) = key_value.split_at_mut(len);
        let (threads, bias) = (&mut attention.threads, &layer.query_key_value.bias);
        sums.add_layer_heads(heads, |shares| {
            if self.rules.attention == AttentionRule::HoldWeights {
                ConstantAttentionBackward {
                    heads,
                    head_size,
                    sequences,
                    probabilities: &saved.probabilities,
                    context_gradient: context,
                    bias: &bias[2 * width..],
                }
                .backpropagate(executor, threads, value, shares);
            } else {
                AttentionBackward {
                    attention: saved_attention((width, head_size), saved, sequences),
                    rule: self.rules.attention,
                    context_gradient: context,
                    bias,
                }
                .backpropagate(
                    executor,
                    threads,
                    Gradients { query, key, value },
                    shares,
                );
            }
        });
    }

    /// Adds the gradients of queries, keys and values to those of their input, in `hidden`.
    fn projections(&mut self, transposed: &TransposedLayer<W>, workspace: &mut Workspace<W>) {
        let Workspace { hidden, query_key_value, linear, sequences, .. } = workspace;
        let len = sequences.tokens() * transposed.attention_output.weight.outputs();
        for part in self.projected() {
            let gradients = &query_key_value[part * len..(part + 1) * len];
            let transposed = &transposed.query_key_value[part];
            Product::dense(transposed, Epilogue::BiasResidual, gradients).multiply(
                &mut self.executor,
                linear,
                (&mut *hidden, self.model.config.dim),
            );
        }
    }

    /// Backpropagates through the normalization at the end of a layer, in place.
    pub fn feed_forward_norm(
        &mut self,
        LayerBackward { layer, saved, .. }: &mut LayerBackward<'_, W>,
        states: &mut [f32],
        shares: &mut [Shares],
    ) {
        NormBackward {
            norm: &layer.feed_forward_norm,
            rule: self.rules.layer_norm,
            saved: &saved.feed_forward_norm,
            bias: &layer.feed_forward_out.bias,
        }
        .backpropagate(&mut self.executor, states, shares);
        #[cfg(feature = "prune")]
        saved.keep_gradients(false, states);
    }

    /// Backpropagates through the second feed-forward layer: `states` → `inner`. If the activation's quotient is
    /// constant, the saved quotients are multiplied by the result instead, in place.
    pub fn feed_forward_out(
        &mut self,
        LayerBackward { transposed, saved, .. }: &mut LayerBackward<'_, W>,
        linear: &mut LinearScratch<W>,
        states: &[f32],
        inner: &mut [f32],
    ) {
        let hidden_dim = transposed.feed_forward_out.weight.outputs();
        let (inner, epilogue) = match self.rules.activation {
            ActivationRule::Gradient => (inner, Epilogue::Bias),
            ActivationRule::HoldQuotient => (&mut *saved.inner, Epilogue::BiasTimes),
        };
        Product {
            input: rows(states, self.model.config.dim),
            linear: &transposed.feed_forward_out,
            outputs: 0..hidden_dim,
            epilogue,
        }
        .multiply(&mut self.executor, linear, (inner, inner_stride(hidden_dim)));
    }

    /// Backpropagates from the activation to attention: `inner` and `states` → `states`, gradients of the sum of
    /// attention's output and the layer's input.
    pub fn feed_forward_in(
        &mut self,
        LayerBackward { layer, transposed, saved }: &mut LayerBackward<'_, W>,
        linear: &mut LinearScratch<W>,
        inner: &mut [f32],
        states: &mut [f32],
        shares: &mut [Shares],
    ) {
        let (config, executor) = (&self.model.config, &mut self.executor);
        let stride = inner_stride(layer.feed_forward_in.weight.outputs());
        let bias = &layer.feed_forward_in.bias;
        let inner: &[f32] = match self.rules.activation {
            ActivationRule::Gradient => {
                let inner = &mut inner[..shares.len() * stride];
                let activation = config.activation;
                ActivationBackward { activation, inputs: &saved.inner, stride, bias }
                    .backpropagate(executor, inner, shares);
                inner
            }
            ActivationRule::HoldQuotient => {
                let gradients = Rows { count: shares.len(), ..rows(&saved.inner, stride) };
                add_bias_shares(executor, gradients, bias, shares);
                &saved.inner
            }
        };
        Product {
            input: rows(inner, stride),
            linear: &transposed.feed_forward_in,
            outputs: 0..config.dim,
            epilogue: Epilogue::BiasResidual,
        }
        .multiply(executor, linear, (&mut *states, config.dim));
        NormBackward {
            norm: &layer.attention_norm,
            rule: self.rules.layer_norm,
            saved: &saved.attention_norm,
            bias: &layer.attention_output.bias,
        }
        .backpropagate(executor, states, shares);
        #[cfg(feature = "prune")]
        saved.keep_gradients(true, states);
    }
}

/// Returns attention as the forward pass computed it, in any layer but the last, given the width of all heads together
/// and that of one.
fn saved_attention<'a>(
    (width, head_size): (usize, usize),
    saved: &'a SavedLayer,
    sequences: &'a Sequences,
) -> Attention<'a> {
    Attention {
        heads: width / head_size,
        head_size,
        sequences,
        queries: Queries::AllTokens,
        query: rows(&saved.query_key_value, 3 * width),
        key: rows(&saved.query_key_value[width..], 3 * width),
        value: rows(&saved.query_key_value[2 * width..], 3 * width),
    }
}

/// Returns a sum of products in double precision.
pub(super) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
