//! The steps of a backward pass that involve spreads: the last layer, and the feed-forward network below it.

use super::first_tokens::FirstTokensBackward;
use super::layer_norm::backpropagate_undivided;
use super::pass::{AttentionMemory, BackwardPass, LayerBackward, saved_attention};
use super::spread::{Spread, SpreadSums};
use super::sums::Sums;
use super::transposed::TransposedLayer;
use crate::attribution::{ActivationRule, AttentionRule, Rules};
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::weight::FloatWeight;
use crate::cpu::ops::attention::Queries;
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::sequences::Sequences;
use crate::cpu::workspace::{Workspace, inner_stride};

impl<W: FloatWeight> BackwardPass<'_, W> {
    /// Backpropagates through the last layer: `first_tokens` → `hidden`. Down to attention only first tokens have a
    /// gradient. The other tokens get theirs through keys and values alone.
    pub fn last_layer(
        &mut self,
        layer: &mut LayerBackward<'_, W>,
        workspace: &mut Workspace<W>,
        attention: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Workspace { context, inner, linear, sequences, first_tokens, first_queries, .. } =
            workspace;
        let (dim, head_size) = (self.model.config.dim, self.model.config.head_size());
        let width = layer.layer.attention_output.weight.inputs();
        let hidden_dim = layer.layer.feed_forward_in.weight.outputs();
        let inner = &mut inner[..sequences.len() * inner_stride(hidden_dim)];
        self.feed_forward_norm(layer, first_tokens, &mut sums.rows);
        self.feed_forward_out(layer, linear, first_tokens, inner);
        self.feed_forward_in(layer, linear, inner, first_tokens, &mut sums.rows);
        let LayerBackward { layer, transposed, saved } = layer;
        let context = &mut context[..sequences.len() * width];
        let first_queries = &mut first_queries[..sequences.len() * width];
        let executor = &mut self.executor;
        Product::dense(&transposed.attention_output, Epilogue::Bias, first_tokens).multiply(
            executor,
            linear,
            (&mut *context, width),
        );
        let [value, key] = &mut attention.spreads;
        let step = FirstTokensBackward {
            attention: saved_attention((width, head_size), saved, sequences, Queries::FirstTokens),
            rule: self.rules.attention,
            context_gradient: context,
            bias: &layer.query_key_value.bias,
        };
        sums.add_layer_heads(width / head_size, |shares| {
            let (threads, spreads) = (&mut attention.threads, [key, value]);
            step.backpropagate(executor, threads, &mut *first_queries, spreads, shares);
        });
        if self.rules.attention != AttentionRule::HoldWeights {
            let transposed = &transposed.query_key_value[0];
            Product::dense(transposed, Epilogue::BiasResidual, &*first_queries).multiply(
                executor,
                linear,
                (&mut *first_tokens, dim),
            );
        }
        self.combine_spreads(transposed, workspace, attention);
    }

    /// Backpropagates the last layer's spreads through the projections, and writes their sums and the gradients of
    /// first tokens to `hidden`.
    fn combine_spreads(
        &mut self,
        transposed: &TransposedLayer<W>,
        workspace: &mut Workspace<W>,
        attention: &mut AttentionMemory,
    ) {
        let Workspace { hidden, linear, sequences, first_tokens, .. } = workspace;
        let AttentionMemory { spreads, vectors, .. } = attention;
        let (executor, config) = (&mut self.executor, &self.model.config);
        let spreads = with_gradients(self.rules, spreads);
        let [_, key_back, value_back] = &transposed.query_key_value;
        let width = transposed.attention_output.weight.outputs();
        let len = spreads[0].vectors.len() / width * config.dim;
        vectors.resize(spreads.len() * len + first_tokens.len());
        let (of_spreads, own) = vectors.split_at_mut(spreads.len() * len);
        let each = spreads.iter().zip([value_back, key_back]);
        for ((spread, back), to) in each.zip(of_spreads.chunks_exact_mut(len)) {
            Product::dense(back, Epilogue::Bias, &spread.vectors).multiply(
                executor,
                linear,
                (to, config.dim),
            );
        }
        own.copy_from_slice(first_tokens);
        let heads = width / config.head_size();
        SpreadSums { spreads, heads, sequences, vectors, factors: None, times_previous: false }
            .write(executor, (hidden, config.dim));
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
        let (dim, last) = (self.model.config.dim, self.model.config.n_layers - 1);
        let hidden_dim = transposed.feed_forward_out.weight.outputs();
        let executor = &mut self.executor;
        let AttentionMemory { spreads, vectors, inner_vectors, .. } = attention;
        backpropagate_undivided(executor.isa, &layer.feed_forward_norm, vectors);
        inner_vectors.resize(vectors.len() / dim * hidden_dim);
        Product::dense(&transposed.feed_forward_out, Epilogue::Bias, vectors).multiply(
            executor,
            linear,
            (&mut *inner_vectors, hidden_dim),
        );
        let times_previous = self.rules.activation == ActivationRule::HoldQuotient;
        SpreadSums {
            spreads: with_gradients(self.rules, spreads),
            heads: self.model.config.layer(last).heads,
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

/// Returns the spreads that the rules give gradients.
fn with_gradients(rules: Rules, spreads: &[Spread; 2]) -> &[Spread] {
    &spreads[..if rules.attention == AttentionRule::HoldWeights { 1 } else { 2 }]
}
