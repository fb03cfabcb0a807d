//! Attention of the last layer, where only the first token of each sequence attends.

use super::executor::Executor;
use super::forward::PackedModel;
use super::gemm::epilogue::Epilogue;
use super::gemm::pack::PackedMatrix;
use super::gemm::rows::{Rows, rows};
use super::gemm::weight::{FloatWeight, Weight};
use super::memory::aligned::AlignedVec;
use super::ops::attention::{AbsorbedAttention, Attention, Queries};
use super::ops::linear::{GroupedProduct, LinearScratch, Product};
use super::sequences::Sequences;
use crate::model::config::Config;
use crate::model::weights::Layer;

/// Queries of first tokens, which the backward pass reads again.
#[derive(Default)]
pub(crate) struct FirstQueries {
    /// `[sequences, dim]`
    pub projected: AlignedVec,
    /// `[sequences · heads, dim]`: `Kᵀ q` of each query and head, where keys are absorbed.
    pub absorbed: AlignedVec,
}

/// The last layer's input, and the buffers of its attention.
pub(crate) struct FirstTokens<'a, W: Weight> {
    pub layer: &'a Layer<PackedMatrix<W>>,
    pub config: &'a Config,
    pub sequences: &'a Sequences,
    /// `[tokens, dim]`
    pub hidden: &'a [f32],
    /// `[sequences, dim]`: the rows of first tokens.
    pub first_tokens: &'a [f32],
    pub queries: &'a mut FirstQueries,
    /// `[tokens, 3·dim]`: keys and values, where they are computed.
    pub query_key_value: &'a mut [f32],
    /// Averages of inputs, where values are absorbed.
    pub averages: &'a mut AlignedVec,
    pub linear: &'a mut LinearScratch<W>,
    /// Scratch of each thread.
    pub attention: &'a mut [W::Attention],
}

impl<'a, W: Weight> FirstTokens<'a, W> {
    /// Projects queries of first tokens.
    fn project_queries(&mut self, executor: &mut Executor<'_>) {
        let dim = self.config.dim;
        self.queries.projected.resize(self.first_tokens.len());
        Product {
            input: rows(self.first_tokens, dim),
            linear: &self.layer.query_key_value,
            outputs: 0..dim,
            epilogue: Epilogue::Bias,
        }
        .multiply(executor, self.linear, (&mut self.queries.projected, dim));
    }
}

/// Attention of first tokens.
pub(crate) trait FirstTokenAttention<W: Weight>: Send + Sync {
    /// Prepares the weights of a model's last layer.
    fn new(executor: &mut Executor<'_>, model: &PackedModel<W>) -> Self;

    /// Writes the context of first tokens, `[sequences, dim]`.
    fn attend(&self, executor: &mut Executor<'_>, step: FirstTokens<'_, W>, context: &mut [f32]);
}

/// Attention with keys and values computed for every token.
pub(crate) struct Projected;

impl<W: Weight> FirstTokenAttention<W> for Projected {
    fn new(_: &mut Executor<'_>, _: &PackedModel<W>) -> Self {
        Self
    }

    fn attend(
        &self,
        executor: &mut Executor<'_>,
        mut step: FirstTokens<'_, W>,
        context: &mut [f32],
    ) {
        step.project_queries(executor);
        let FirstTokens { layer, config, sequences, hidden, queries, query_key_value, .. } = step;
        let dim = config.dim;
        Product {
            input: rows(hidden, dim),
            linear: &layer.query_key_value,
            outputs: dim..3 * dim,
            epilogue: Epilogue::Bias,
        }
        .multiply(executor, step.linear, (&mut *query_key_value, 3 * dim));
        Attention {
            heads: config.n_heads,
            head_size: config.head_size(),
            sequences,
            queries: Queries::FirstTokens,
            query: rows(&queries.projected, dim),
            key: rows(&query_key_value[dim..], 3 * dim),
            value: rows(&query_key_value[2 * dim..], 3 * dim),
        }
        .attend(executor, step.attention, context, None);
    }
}

/// Attention with the key and value matrices absorbed: no token has a key or a value. At DistilBERT's proportions that
/// saves 2 of 62 · dim² multiply-adds per token.
///
/// In 8 bits, it would gain nothing on short texts, whose time is that of reading the weights, and add a rounding.
pub(crate) struct Absorbed<W: Weight> {
    /// The key matrix transposed, of each head: outputs `[heads · dim]`, inputs `[head_size]`.
    pub keys: PackedMatrix<W>,
}

impl<W: FloatWeight> FirstTokenAttention<W> for Absorbed<W> {
    fn new(executor: &mut Executor<'_>, model: &PackedModel<W>) -> Self {
        let Config { dim, n_heads, .. } = model.config;
        let last = model.layers.last().expect("a model without layers has no last layer");
        let weight = &last.query_key_value.weight;
        Self { keys: weight.transposed_groups(executor, dim..2 * dim, n_heads) }
    }

    fn attend(
        &self,
        executor: &mut Executor<'_>,
        mut step: FirstTokens<'_, W>,
        context: &mut [f32],
    ) {
        step.project_queries(executor);
        let FirstTokens { layer, config, sequences, hidden, queries, averages, linear, .. } = step;
        let (dim, heads) = (config.dim, config.n_heads);
        queries.absorbed.resize(sequences.len() * heads * dim);
        averages.resize(queries.absorbed.len());
        GroupedProduct {
            input: rows(&queries.projected, dim),
            weight: &self.keys,
            bias: None,
            outputs: 0..heads * dim,
            groups: heads,
        }
        .multiply(executor, linear, &mut queries.absorbed);
        AbsorbedAttention {
            heads,
            head_size: config.head_size(),
            sequences,
            inputs: rows(hidden, dim),
            queries: &queries.absorbed,
        }
        .average(executor, step.attention, averages);
        let values = &layer.query_key_value;
        GroupedProduct {
            input: Rows { count: sequences.len(), ..rows(averages, heads * dim) },
            weight: &values.weight,
            bias: Some(&values.bias),
            outputs: 2 * dim..3 * dim,
            groups: heads,
        }
        .multiply(executor, linear, context);
    }
}
