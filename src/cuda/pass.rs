//! The steps of a forward pass, as they are launched or captured.

use std::ops::Range;

use cudarc::driver::CudaStream;

use super::kernels::{Argument, Kernels};
use super::lane::Buffers;
use super::memory::{Address, HALF, ROW_SCALE};
use super::shape::Shape;
use super::weights::{DeviceLayer, DeviceLinear, DeviceModel, DeviceNorm, InBytes};
use crate::error::Result;
use crate::model::config::{Activation, Config};

/// Threads of a block, but in `linear`.
const THREADS: u32 = 128;

/// Labels that a block of the classifier computes.
const BLOCK_LABELS: usize = 4;

/// What a pass needs, besides its input, for some shapes of at most a lane's size.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    pub stream: &'a CudaStream,
    pub kernels: &'a Kernels,
    pub config: &'a Config,
    pub model: &'a DeviceModel,
    pub buffers: &'a Buffers,
    pub shape: Shape,
}

/// Rows as a product reads them: halves, or bytes with a scale and a zero point each.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    values: Address,
    scales: Address,
}

macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { &[$(Argument::from($argument)),*] };
}

/// The names of all kernels that passes of a model launch.
pub fn kernel_names(config: &Config, in_bytes: InBytes) -> Vec<String> {
    let head = config.head_size();
    let kind = kind(in_bytes);
    let mut names: Vec<String> = Kernels::linear_names(kind).collect();
    names.extend([
        format!("embeddings_{kind}"),
        format!("classifier_{kind}"),
        format!("attention_{head}"),
        format!("attention_first_{head}"),
        "gather_first_rows".to_owned(),
    ]);
    let others: &[&str] =
        if in_bytes.0 { &["layer_norm_quantise", "quantise"] } else { &["layer_norm"] };
    names.extend(others.iter().map(ToString::to_string));
    names
}

fn kind(in_bytes: InBytes) -> &'static str {
    if in_bytes.0 { "int8" } else { "f16" }
}

impl Pass<'_> {
    /// From the lane's input to its logits.
    pub fn run(self) -> Result<()> {
        let mut rows = self.embed()?;
        if let Some((last, layers)) = self.model.layers.split_last() {
            for layer in layers {
                rows = self.layer(layer, rows)?;
            }
            rows = self.last_layer(last, rows)?;
        }
        self.head(rows)
    }

    /// Token ids → `states`.
    fn embed(self) -> Result<Rows> {
        let (model, buffers, tokens) = (self.model, self.buffers, self.shape.tokens);
        let norm = &model.embedding_norm;
        let [ids, positions, _] = buffers.input(self.shape);
        let (word, position) = (&model.word, &model.position);
        let (weight, bias) = (norm.weight.start, norm.bias.start);
        let (dim, states) = (self.config.dim, buffers.states.start);
        if self.model.in_bytes.0 {
            let arguments = arguments![
                ids,
                positions,
                word.values.start,
                word.scales.start,
                position.values.start,
                position.scales.start,
                weight,
                bias,
                states,
                buffers.quantised.start,
                buffers.row_scales.start,
                dim,
                norm.eps,
            ];
            self.launch("embeddings_int8", [tokens, 1, 1], arguments)?;
        } else {
            let (word, position) = (word.values.start, position.values.start);
            let arguments =
                arguments![ids, positions, word, position, weight, bias, states, dim, norm.eps];
            self.launch("embeddings_f16", [tokens, 1, 1], arguments)?;
        }
        Ok(self.normalised(states, tokens))
    }

    /// `states` → `states`, for every token; `rows` are the states as products read them.
    fn layer(self, layer: &DeviceLayer, rows: Rows) -> Result<Rows> {
        let dim = self.config.dim;
        let Buffers { states, query_key_value, .. } = self.buffers;
        let query = query_key_value.start;
        self.linear(rows, &layer.query_key_value, 0..3 * dim, "bias", query, 3 * dim)?;
        let name = format!("attention_{}", self.config.head_size());
        self.attention(&name, self.shape.query_blocks, query, 3 * dim)?;
        self.after_attention(layer, states.start, rows.count)
    }

    /// `states` → `first_states`: the head reads only the first token of each row, so only keys and values
    /// are needed of the others.
    fn last_layer(self, layer: &DeviceLayer, rows: Rows) -> Result<Rows> {
        let (dim, linear) = (self.config.dim, &layer.query_key_value);
        let buffers = self.buffers;
        let (key, query) =
            (buffers.query_key_value.start.plus(dim * HALF), buffers.first_queries.start);
        self.linear(rows, linear, dim..3 * dim, "bias", key, 3 * dim)?;
        let first_states = buffers.first_states.start;
        self.gather(buffers.states.start, first_states, dim * HALF)?;
        let mut first_rows = Rows { count: self.shape.sequences, values: first_states, ..rows };
        if self.model.in_bytes.0 {
            first_rows.values = buffers.first_quantised.start;
            first_rows.scales = buffers.first_row_scales.start;
            self.gather(rows.values, first_rows.values, dim)?;
            self.gather(rows.scales, first_rows.scales, ROW_SCALE)?;
        }
        self.linear(first_rows, linear, 0..dim, "bias", query, dim)?;
        let name = format!("attention_first_{}", self.config.head_size());
        self.attention(&name, 1, query, dim)?;
        self.after_attention(layer, first_states, first_rows.count)
    }

    /// What follows attention in a layer: `states` → `states`, with one row of `context` for each.
    fn after_attention(self, layer: &DeviceLayer, states: Address, count: usize) -> Result<Rows> {
        let Config { dim, hidden_dim, activation, .. } = *self.config;
        let Buffers { context, inner, .. } = self.buffers;
        let rows = self.quantised(context.start, count, dim)?;
        self.whole(rows, &layer.attention_output, "bias_residual", states)?;
        let rows = self.normalise(&layer.attention_norm, states, count)?;
        let activation = match activation {
            Activation::Gelu => "bias_gelu",
            Activation::Relu => "bias_relu",
        };
        self.whole(rows, &layer.feed_forward_in, activation, inner.start)?;
        let rows = self.quantised(inner.start, count, hidden_dim)?;
        self.whole(rows, &layer.feed_forward_out, "bias_residual", states)?;
        self.normalise(&layer.feed_forward_norm, states, count)
    }

    /// `first_states` → logits.
    fn head(self, rows: Rows) -> Result<()> {
        let Buffers { first_queries: pooled, logits, .. } = self.buffers;
        let DeviceModel { pre_classifier, classifier, in_bytes, .. } = self.model;
        self.whole(rows, pre_classifier, "bias_relu", pooled.start)?;
        let rows = self.quantised(pooled.start, rows.count, pre_classifier.outputs)?;
        let (labels, inputs) = (classifier.outputs, classifier.inputs);
        let (weight, columns) = (classifier.weight_from(0), classifier.columns_from(0));
        let grid = [labels.div_ceil(BLOCK_LABELS), rows.count, 1];
        let logits = logits.start;
        if in_bytes.0 {
            let arguments =
                arguments![rows.values, rows.scales, weight, columns, logits, labels, inputs];
            self.launch("classifier_int8", grid, arguments)
        } else {
            let arguments = arguments![rows.values, weight, columns, logits, labels, inputs];
            self.launch("classifier_f16", grid, arguments)
        }
    }

    /// Some outputs of a linear layer, whose first is written to `output`.
    fn linear(
        self,
        rows: Rows,
        linear: &DeviceLinear,
        outputs: Range<usize>,
        epilogue: &str,
        output: Address,
        output_stride: usize,
    ) -> Result<()> {
        let (count, inputs) = (rows.count, linear.inputs);
        let kind = kind(self.model.in_bytes);
        let (name, tile) = self.kernels.linear(kind, epilogue, count, outputs.len());
        let weight = linear.weight_from(outputs.start);
        let columns = linear.columns_from(outputs.start);
        let outputs = outputs.len();
        let [x, y] = tile.grid(count, outputs);
        let mut arguments = vec![Argument::from(rows.values)];
        if self.model.in_bytes.0 {
            arguments.push(rows.scales.into());
        }
        arguments.extend_from_slice(arguments![
            weight,
            columns,
            output,
            count,
            outputs,
            inputs,
            output_stride,
        ]);
        self.launch_threads(&name, [x, y, 1], tile.threads, &arguments)
    }

    /// All outputs of a linear layer, in rows without gaps.
    fn whole(
        self,
        rows: Rows,
        linear: &DeviceLinear,
        epilogue: &str,
        output: Address,
    ) -> Result<()> {
        self.linear(rows, linear, 0..linear.outputs, epilogue, output, linear.outputs)
    }

    /// Queries, and the keys and values of `query_key_value` → `context`.
    fn attention(
        self,
        name: &str,
        query_blocks: usize,
        query: Address,
        query_stride: usize,
    ) -> Result<()> {
        let dim = self.config.dim;
        let [_, _, ends] = self.buffers.input(self.shape);
        let key = self.buffers.query_key_value.start.plus(dim * HALF);
        let value = key.plus(dim * HALF);
        let context = self.buffers.context.start;
        let arguments = arguments![query, key, value, ends, context, query_stride, 3 * dim];
        self.launch(name, [query_blocks, self.config.n_heads, self.shape.sequences], arguments)
    }

    /// The rows of first tokens, `row_bytes` each.
    fn gather(self, rows: Address, first_rows: Address, row_bytes: usize) -> Result<()> {
        let [_, _, ends] = self.buffers.input(self.shape);
        let arguments = arguments![rows, ends, first_rows, row_bytes];
        self.launch("gather_first_rows", [self.shape.sequences, 1, 1], arguments)
    }

    /// Normalises `states` in place.
    fn normalise(self, norm: &DeviceNorm, states: Address, count: usize) -> Result<Rows> {
        let (weight, bias, dim, eps) =
            (norm.weight.start, norm.bias.start, self.config.dim, norm.eps);
        let rows = self.normalised(states, count);
        if self.model.in_bytes.0 {
            let arguments = arguments![states, weight, bias, rows.values, rows.scales, dim, eps];
            self.launch("layer_norm_quantise", [count, 1, 1], arguments)?;
        } else {
            self.launch("layer_norm", [count, 1, 1], arguments![states, weight, bias, dim, eps])?;
        }
        Ok(rows)
    }

    /// Where normalised states are read by products: in 8 bits, the kernel that normalises also rounds.
    fn normalised(self, states: Address, count: usize) -> Rows {
        let Buffers { quantised, row_scales, .. } = self.buffers;
        let values = if self.model.in_bytes.0 { quantised.start } else { states };
        Rows { count, values, scales: row_scales.start }
    }

    /// Rows of halves, rounded where products read bytes.
    fn quantised(self, halves: Address, count: usize, len: usize) -> Result<Rows> {
        let rows = self.normalised(halves, count);
        if self.model.in_bytes.0 {
            let arguments = arguments![halves, rows.values, rows.scales, len];
            self.launch("quantise", [count, 1, 1], arguments)?;
        }
        Ok(rows)
    }

    fn launch(self, name: &str, grid: [usize; 3], arguments: &[Argument]) -> Result<()> {
        self.launch_threads(name, grid, THREADS, arguments)
    }

    fn launch_threads(
        self,
        name: &str,
        grid: [usize; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<()> {
        // SAFETY: this module passes what the kernels list; the model's matrices have the sizes that `Model`
        // has checked, and the buffers' rows suffice for every shape that the lane makes a pass of. A lane
        // keeps its buffers, and the engine the weights, for as long as the lane's stream and graphs.
        unsafe { self.kernels.launch(self.stream, name, grid, threads, arguments) }
    }
}
