//! The forward pass: the architecture as a sequence of kernel launches.

use std::ops::Range;

use half::f16;

use super::activations::Activations;
use super::format::{Classifier, Embedding, Format, Gemm};
use super::graph::Capture;
use super::input::InputSlices;
use super::kernels::attention::{Attention, Queries};
use super::kernels::head::GatherFirstRows;
use super::kernels::linear::{self, Epilogue};
use super::kernels::parameters::Size;
use super::memory::DeviceSlice;
use super::shape::Shape;
use super::weights::{DeviceLayer, DeviceLinear, DeviceModel};
use crate::error::Result;
use crate::model::config::{Activation, Config};

/// Returns the names of all kernels that forward passes of a model launch.
pub fn kernel_names<F: Format>(config: &Config) -> Vec<String> {
    let head_size = config.head_size();
    let mut names: Vec<String> = linear::kernel_names(F::NAME).collect();
    names.extend([
        format!("embeddings_{}", F::NAME),
        format!("classifier_{}", F::NAME),
        Queries::All { blocks: 1 }.kernel(head_size),
        Queries::First.kernel(head_size),
        "gather_first_rows".to_owned(),
    ]);
    names.extend(F::KERNELS.iter().map(ToString::to_string));
    names
}

/// Forward pass over a sub-batch of one shape.
pub struct ForwardPass<'m, F: Format> {
    pub model: &'m DeviceModel<F>,
    pub activations: &'m Activations<F>,
    pub input: InputSlices<'m>,
    pub shape: Shape,
}

/// Rows that a GEMM writes, `stride` values apart.
#[derive(Clone, Copy)]
struct Output<'m> {
    slice: DeviceSlice<'m, f16>,
    stride: usize,
}

impl<'m, F: Format> ForwardPass<'m, F> {
    /// Records all launches, from the input to the logits.
    pub fn record(&self, capture: &Capture<'m>) -> Result<()> {
        let mut rows = self.embed(capture)?;
        if let Some((last, layers)) = self.model.layers.split_last() {
            for layer in layers {
                rows = self.layer(capture, layer, rows)?;
            }
            rows = self.last_layer(capture, last, rows)?;
        }
        self.head(capture, rows)
    }

    /// Token ids → `states`.
    fn embed(&self, capture: &Capture<'m>) -> Result<F::Rows<'m>> {
        let embeddings = &self.model.embeddings;
        let embedding = Embedding {
            input: self.input,
            word: &embeddings.word,
            position: &embeddings.position,
            norm: &embeddings.layer_norm,
            states: self.states()?,
            quantized: &self.activations.quantized,
        };
        F::embed(capture, embedding)
    }

    /// `states` → `states`, for every token. `rows` are the states as GEMMs read them.
    fn layer(
        &self,
        capture: &Capture<'m>,
        layer: &'m DeviceLayer<F>,
        rows: F::Rows<'m>,
    ) -> Result<F::Rows<'m>> {
        let (width, tokens) = (layer.attention_output.weight.inputs, self.shape.tokens);
        let query = self.activations.query_key_value.slice(0..tokens * 3 * width)?;
        let output = Output { slice: query, stride: 3 * width };
        let linear = &layer.query_key_value;
        self.linear(capture, (rows, tokens), (linear, 0..3 * width), Epilogue::Bias, output)?;
        let queries = Queries::All { blocks: self.shape.query_blocks };
        self.attention(capture, queries, (output, width))?;
        self.after_attention(capture, layer, self.states()?)
    }

    /// `states` → `first_states`. The head reads only the first token of each sequence, so this layer
    /// computes nothing but keys and values for the others.
    fn last_layer(
        &self,
        capture: &Capture<'m>,
        layer: &'m DeviceLayer<F>,
        rows: F::Rows<'m>,
    ) -> Result<F::Rows<'m>> {
        let Shape { tokens, sequences, .. } = self.shape;
        let (dim, activations) = (self.model.config.dim, self.activations);
        let (linear, width) = (&layer.query_key_value, layer.attention_output.weight.inputs);
        let key = activations.query_key_value.slice(width..tokens * 3 * width)?;
        let output = Output { slice: key, stride: 3 * width };
        let keys_and_values = (linear, width..3 * width);
        self.linear(capture, (rows, tokens), keys_and_values, Epilogue::Bias, output)?;

        let first_states = activations.first_states.slice(0..sequences * dim)?;
        capture.launch(GatherFirstRows {
            rows: self.states()?.bytes(),
            sequence_ends: self.input.sequence_ends,
            first_rows: first_states.bytes(),
            row_bytes: Size::new(dim * size_of::<f16>())?,
        })?;
        let quantized = &activations.first_quantized;
        let first_rows = F::gather(capture, rows, first_states, self.input, quantized)?;

        let query = activations.first_queries.slice(0..sequences * width)?;
        let output = Output { slice: query, stride: width };
        self.linear(capture, (first_rows, sequences), (linear, 0..width), Epilogue::Bias, output)?;
        self.attention(capture, Queries::First, (output, width))?;
        self.after_attention(capture, layer, first_states)
    }

    /// Computes attention of `query` with the keys and values in `query_key_value` → `context`. All heads together are
    /// `width` wide.
    fn attention(
        &self,
        capture: &Capture<'m>,
        queries: Queries,
        (query, width): (Output<'m>, usize),
    ) -> Result<()> {
        let head_size = self.model.config.head_size();
        let Shape { tokens, .. } = self.shape;
        let query_key_value = &self.activations.query_key_value;
        capture.launch(Attention {
            query: query.slice,
            key: query_key_value.slice(width..tokens * 3 * width)?,
            value: query_key_value.slice(2 * width..tokens * 3 * width)?,
            sequence_ends: self.input.sequence_ends,
            context: self.activations.context.as_slice(),
            query_stride: Size::new(query.stride)?,
            key_stride: Size::new(3 * width)?,
            queries,
            heads: width / head_size,
            head_size,
        })
    }

    /// Computes the rest of a layer in place on `states`, with one row of `context` for each.
    fn after_attention(
        &self,
        capture: &Capture<'m>,
        layer: &'m DeviceLayer<F>,
        states: DeviceSlice<'m, f16>,
    ) -> Result<F::Rows<'m>> {
        let Config { dim, activation, .. } = self.model.config;
        let width = layer.attention_output.weight.inputs;
        let hidden_dim = layer.feed_forward_in.weight.outputs;
        let Activations { context, inner, quantized, .. } = self.activations;
        let count = states.len() / dim;
        let inner = inner.slice(0..count * hidden_dim)?;

        let rows = F::rows(capture, context.slice(0..count * width)?, width, quantized)?;
        let output = &layer.attention_output;
        self.full_linear(capture, (rows, count), output, Epilogue::BiasResidual, states)?;
        let rows = F::normalize(capture, &layer.attention_norm, states, quantized)?;

        let epilogue = match activation {
            Activation::Gelu => Epilogue::BiasGelu,
            Activation::Relu => Epilogue::BiasRelu,
        };
        self.full_linear(capture, (rows, count), &layer.feed_forward_in, epilogue, inner)?;
        let rows = F::rows(capture, inner, hidden_dim, quantized)?;
        let output = &layer.feed_forward_out;
        self.full_linear(capture, (rows, count), output, Epilogue::BiasResidual, states)?;
        F::normalize(capture, &layer.feed_forward_norm, states, quantized)
    }

    /// `first_states` → logits.
    fn head(&self, capture: &Capture<'m>, rows: F::Rows<'m>) -> Result<()> {
        let (sequences, activations, head) =
            (self.shape.sequences, self.activations, &self.model.head);
        let (dim, labels) = (head.pre_classifier.weight.outputs, head.classifier.weight.outputs);
        let pooled = activations.first_queries.slice(0..sequences * dim)?;
        let pre_classifier = &head.pre_classifier;
        self.full_linear(capture, (rows, sequences), pre_classifier, Epilogue::BiasRelu, pooled)?;
        let input = F::rows(capture, pooled, dim, &activations.quantized)?;
        let classifier = Classifier {
            input,
            weight: &head.classifier.weight.values,
            output_data: &head.classifier.bias,
            logits: activations.logits.slice(0..sequences * labels)?,
            rows: sequences,
            labels,
            inputs: head.classifier.weight.inputs,
        };
        F::classify(capture, classifier)
    }

    /// Computes a range of the outputs of a linear layer for `count` rows.
    fn linear(
        &self,
        capture: &Capture<'m>,
        (rows, count): (F::Rows<'m>, usize),
        (linear, outputs): (&'m DeviceLinear<F>, Range<usize>),
        epilogue: Epilogue,
        output: Output<'m>,
    ) -> Result<()> {
        let inputs = linear.weight.inputs;
        let weight = linear.weight.values.slice(outputs.start * inputs..outputs.end * inputs)?;
        let gemm = Gemm {
            input: rows,
            weight,
            output_data: linear.bias.slice(outputs.clone())?,
            output: output.slice,
            output_stride: output.stride,
            rows: count,
            outputs: outputs.len(),
            inputs,
            epilogue,
        };
        F::linear(capture, gemm)
    }

    /// Computes all outputs of a linear layer, in contiguous rows.
    fn full_linear(
        &self,
        capture: &Capture<'m>,
        rows: (F::Rows<'m>, usize),
        linear: &'m DeviceLinear<F>,
        epilogue: Epilogue,
        output: DeviceSlice<'m, f16>,
    ) -> Result<()> {
        let outputs = linear.weight.outputs;
        let output = Output { slice: output, stride: outputs };
        self.linear(capture, rows, (linear, 0..outputs), epilogue, output)
    }

    /// Returns the hidden states of the shape's tokens.
    fn states(&self) -> Result<DeviceSlice<'m, f16>> {
        self.activations.states.slice(0..self.shape.tokens * self.model.config.dim)
    }
}
