//! The steps of a backward pass that involve spreads: the last layer, and the feed-forward network below it.

use super::first_tokens::{FirstTokensBackward, FirstTokensGradients};
use super::layer_norm::backpropagate_undivided;
use super::pass::{AttentionMemory, BackwardPass, LayerBackward, dot_f64};
use super::saved::SavedLayer;
use super::spread::SpreadSums;
use super::sums::Sums;
use crate::attribution::{ActivationRule, AttentionRule};
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::gemm::weight::FloatWeight;
use crate::cpu::ops::attention::AbsorbedAttention;
use crate::cpu::ops::linear::{GroupedProduct, LinearScratch, Product};
use crate::cpu::sequences::Sequences;
use crate::cpu::workspace::{Workspace, inner_stride};
use crate::model::weights::Layer;

impl<W: FloatWeight> BackwardPass<'_, W> {
    /// Backpropagates through the last layer: `first_tokens` → `hidden`. Down to attention only first tokens have a
    /// gradient. The other tokens get theirs only through keys and values.
    pub fn last_layer(
        &mut self,
        layer: &mut LayerBackward<'_, W>,
        workspace: &mut Workspace<W>,
        attention: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Workspace { context, inner, linear, sequences, first_tokens, .. } = workspace;
        let dim = self.model.config.dim;
        let width = layer.layer.attention_output.weight.inputs();
        let hidden_dim = layer.layer.feed_forward_in.weight.outputs();
        let inner = &mut inner[..sequences.len() * inner_stride(hidden_dim)];
        self.feed_forward_norm(layer, first_tokens, &mut sums.rows);
        self.feed_forward_out(layer, linear, first_tokens, inner);
        self.feed_forward_in(layer, linear, inner, first_tokens, &mut sums.rows);
        let LayerBackward { layer, transposed, saved } = layer;
        let context = &mut context[..sequences.len() * width];
        let executor = &mut self.executor;
        Product::dense(&transposed.attention_output, Epilogue::Bias, first_tokens).multiply(
            executor,
            linear,
            (&mut *context, width),
        );
        self.last_attention(layer, saved, workspace, attention, sums);
        let Workspace { linear, first_tokens, first_queries, .. } = workspace;
        if self.has_key_gradients() {
            Product::dense(
                &transposed.query_key_value[0],
                Epilogue::BiasResidual,
                &first_queries.projected,
            )
            .multiply(&mut self.executor, linear, (&mut *first_tokens, dim));
        }
        self.combine_vectors(workspace, attention);
    }

    /// Backpropagates through the last layer's attention: gradients of `context` → vectors and amounts, and gradients of
    /// the projected queries.
    fn last_attention(
        &mut self,
        layer: &Layer<PackedMatrix<W>>,
        saved: &SavedLayer,
        workspace: &mut Workspace<W>,
        AttentionMemory { threads, amounts, vectors, .. }: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Workspace { hidden, context, linear, sequences, averages, .. } = &mut *workspace;
        let (dim, head_size) = (self.model.config.dim, self.model.config.head_size());
        let width = layer.attention_output.weight.inputs();
        let heads = width / head_size;
        let (has_keys, sets) = (self.has_key_gradients(), self.vector_sets());
        let executor = &mut self.executor;
        let context = &context[..sequences.len() * width];
        let absorbed = &saved.first_queries.absorbed;
        let len = absorbed.len();
        vectors.resize(sets * len + sequences.len() * dim);
        let (value_vectors, rest) = vectors.split_at_mut(len);
        if has_keys {
            rest[..len].copy_from_slice(absorbed);
        }
        if let Some(values) = &self.transposed.last_values {
            GroupedProduct {
                input: rows(context, width),
                weight: values,
                bias: None,
                outputs: 0..heads * dim,
                groups: heads,
            }
            .multiply(executor, linear, value_vectors);
        }
        averages.resize(len);
        amounts.iter_mut().for_each(|amounts| amounts.resize(sequences.tokens() * heads));
        let [value_amounts, key_amounts] = amounts;
        let bias = &layer.query_key_value.bias;
        let step = FirstTokensBackward {
            attention: AbsorbedAttention {
                heads,
                head_size,
                sequences,
                inputs: rows(hidden, dim),
                queries: absorbed,
            },
            rule: self.rules.attention,
            context_gradient: context,
            value_vectors,
            value_bias: &bias[2 * width..],
        };
        sums.add_layer_heads(heads, |shares| {
            let amounts = [&mut key_amounts[..], &mut value_amounts[..]];
            let gradients = FirstTokensGradients { amounts, queries: averages, shares };
            step.backpropagate(executor, threads, gradients);
        });
        if has_keys {
            self.add_key_bias(layer, workspace, sums);
        }
    }

    /// Adds the products of the key bias and its gradients, which follow from the queries' gradients in `averages`.
    fn add_key_bias(
        &mut self,
        layer: &Layer<PackedMatrix<W>>,
        workspace: &mut Workspace<W>,
        sums: &mut Sums,
    ) {
        let Workspace { linear, sequences, first_queries, averages, .. } = workspace;
        let (dim, head_size) = (self.model.config.dim, self.model.config.head_size());
        let width = layer.attention_output.weight.inputs();
        let heads = width / head_size;
        let gradients = &mut first_queries.projected;
        gradients.resize(sequences.len() * width);
        GroupedProduct {
            input: Rows { count: sequences.len(), ..rows(averages, heads * dim) },
            weight: &layer.query_key_value.weight,
            bias: None,
            outputs: width..2 * width,
            groups: heads,
        }
        .multiply(&mut self.executor, linear, gradients);
        let bias = &layer.query_key_value.bias[..width];
        for (shares, gradients) in sums.rows.iter_mut().zip(gradients.chunks_exact(width)) {
            shares.bias += dot_f64(gradients, bias);
        }
    }

    /// Returns `true` if keys and queries have gradients.
    fn has_key_gradients(&self) -> bool {
        self.rules.attention != AttentionRule::HoldWeights
    }

    /// Returns the number of gradients that a token gets in the last layer: through its value, and through its key.
    fn vector_sets(&self) -> usize {
        if self.has_key_gradients() { 2 } else { 1 }
    }

    /// Writes the sums of the last layer's vectors and the gradients of first tokens to `hidden`.
    fn combine_vectors(
        &mut self,
        workspace: &mut Workspace<W>,
        AttentionMemory { amounts, vectors, .. }: &mut AttentionMemory,
    ) {
        let Workspace { hidden, sequences, first_tokens, .. } = workspace;
        let heads = self.model.config.layer(self.model.config.n_layers - 1).heads;
        let dim = self.model.config.dim;
        let amounts = amounts.each_ref().map(|amounts| &amounts[..]);
        let own = vectors.len() - first_tokens.len();
        vectors[own..].copy_from_slice(first_tokens);
        let amounts = &amounts[..self.vector_sets()];
        SpreadSums { amounts, heads, sequences, vectors, factors: None, times_previous: false }
            .write(&mut self.executor, (hidden, dim));
    }

    /// Backpropagates the last layer's spreads through the second feed-forward layer and the normalization after it.
    pub fn spread_feed_forward_out(
        &mut self,
        LayerBackward { layer, transposed, saved }: &mut LayerBackward<'_, W>,
        linear: &mut LinearScratch<W>,
        attention: &mut AttentionMemory,
        sequences: &Sequences,
        inner: &mut [f32],
    ) {
        let dim = self.model.config.dim;
        let hidden_dim = transposed.feed_forward_out.weight.outputs();
        let heads = self.model.config.layer(self.model.config.n_layers - 1).heads;
        let AttentionMemory { amounts, vectors, inner_vectors, .. } = attention;
        let amounts = amounts.each_ref().map(|amounts| &amounts[..]);
        let amounts = &amounts[..self.vector_sets()];
        let executor = &mut self.executor;
        backpropagate_undivided(executor.isa, &layer.feed_forward_norm, vectors);
        inner_vectors.resize(vectors.len() / dim * hidden_dim);
        Product::dense(&transposed.feed_forward_out, Epilogue::Bias, vectors).multiply(
            executor,
            linear,
            (&mut *inner_vectors, hidden_dim),
        );
        let times_previous = self.rules.activation == ActivationRule::HoldQuotient;
        SpreadSums {
            amounts,
            heads,
            sequences,
            vectors: inner_vectors,
            factors: Some(&saved.feed_forward_norm),
            times_previous,
        }
        .write(
            executor,
            (if times_previous { &mut saved.inner } else { inner }, inner_stride(hidden_dim)),
        );
    }
}
