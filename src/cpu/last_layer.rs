//! Attention of the last layer, where only the first token of each sequence attends.

use super::executor::Executor;
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
    /// `[sequences, width]`, where the width is that of the layer's heads.
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
    /// `[tokens, 3·width]`: keys and values, where they are computed. May be longer.
    pub query_key_value: &'a mut [f32],
    /// Averages of inputs, where values are absorbed.
    pub averages: &'a mut AlignedVec,
    pub linear: &'a mut LinearScratch<W>,
    /// Scratch of each thread.
    pub attention: &'a mut [W::Attention],
}

impl<W: Weight> FirstTokens<'_, W> {
    /// Returns the width of the layer's heads together.
    fn width(&self) -> usize {
        self.layer.attention_output.weight.inputs()
    }

    /// Projects queries of first tokens.
    fn project_queries(&mut self, executor: &mut Executor<'_>) {
        let (dim, width) = (self.config.dim, self.width());
        self.queries.projected.resize(self.sequences.len() * width);
        Product {
            input: rows(self.first_tokens, dim),
            linear: &self.layer.query_key_value,
            outputs: 0..width,
            epilogue: Epilogue::Bias,
        }
        .multiply(executor, self.linear, (&mut self.queries.projected, width));
    }
}

/// Attention of first tokens.
pub(crate) trait FirstTokenAttention<W: Weight>: Send + Sync {
    /// Prepares the weights of the last layer.
    fn new(executor: &mut Executor<'_>, layer: &Layer<PackedMatrix<W>>, head_size: usize) -> Self;

    /// Writes the context of first tokens, `[sequences, width]`.
    fn attend(&self, executor: &mut Executor<'_>, step: FirstTokens<'_, W>, context: &mut [f32]);
}

/// Attention with keys and values computed for every token.
pub(crate) struct Projected;

impl<W: Weight> FirstTokenAttention<W> for Projected {
    fn new(_: &mut Executor<'_>, _: &Layer<PackedMatrix<W>>, _: usize) -> Self {
        Self
    }

    fn attend(
        &self,
        executor: &mut Executor<'_>,
        mut step: FirstTokens<'_, W>,
        context: &mut [f32],
    ) {
        step.project_queries(executor);
        let width = step.width();
        let FirstTokens { layer, config, sequences, hidden, queries, query_key_value, .. } = step;
        let (dim, head_size) = (config.dim, config.head_size());
        let query_key_value = &mut query_key_value[..sequences.tokens() * 3 * width];
        Product {
            input: rows(hidden, dim),
            linear: &layer.query_key_value,
            outputs: width..3 * width,
            epilogue: Epilogue::Bias,
        }
        .multiply(executor, step.linear, (&mut *query_key_value, 3 * width));
        Attention {
            heads: width / head_size,
            head_size,
            sequences,
            queries: Queries::FirstTokens,
            query: rows(&queries.projected, width),
            key: rows(&query_key_value[width..], 3 * width),
            value: rows(&query_key_value[2 * width..], 3 * width),
        }
        .attend(executor, step.attention, context, None);
    }
}

/// Attention with the key and value matrices absorbed: no token has a key or a value. At DistilBERT's proportions that
/// saves 2 of 62 · dim² multiply-adds per token.
///
/// In 8 bits and in bf16, the vectors would be rounded once more.
pub(crate) struct Absorbed<W: Weight> {
    /// The key matrix transposed, of each head: outputs `[heads · dim]`, inputs `[head_size]`.
    pub keys: PackedMatrix<W>,
}

impl<W: FloatWeight> FirstTokenAttention<W> for Absorbed<W> {
    fn new(executor: &mut Executor<'_>, layer: &Layer<PackedMatrix<W>>, head_size: usize) -> Self {
        let width = layer.attention_output.weight.inputs();
        let weight = &layer.query_key_value.weight;
        Self { keys: weight.transposed_groups(executor, width..2 * width, width / head_size) }
    }

    fn attend(
        &self,
        executor: &mut Executor<'_>,
        mut step: FirstTokens<'_, W>,
        context: &mut [f32],
    ) {
        step.project_queries(executor);
        let width = step.width();
        let FirstTokens { layer, config, sequences, hidden, queries, averages, linear, .. } = step;
        let (dim, head_size) = (config.dim, config.head_size());
        let heads = width / head_size;
        queries.absorbed.resize(sequences.len() * heads * dim);
        averages.resize(queries.absorbed.len());
        GroupedProduct {
            input: rows(&queries.projected, width),
            weight: &self.keys,
            bias: None,
            outputs: 0..heads * dim,
            groups: heads,
        }
        .multiply(executor, linear, &mut queries.absorbed);
        AbsorbedAttention {
            heads,
            head_size,
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
            outputs: 2 * width..3 * width,
            groups: heads,
        }
        .multiply(executor, linear, context);
    }
}
