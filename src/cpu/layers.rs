//! [`LayerRunner`]: layers that run one at a time, for pruning.

use super::backward::{Differentiable, TakeGradients};
use super::executor::Executor;
use super::forward::{Engine, LayerBuffers, PackedLayer, Pass};
use super::gemm::pack::PackedMatrix;
use super::gemm::rows::{Rows, rows};
use super::last_layer::{Absorbed, FirstQueries, FirstTokenAttention};
use super::memory::aligned::AlignedVec;
use super::ops::embeddings::embed;
use super::ops::layer_norm::{SavedNorm, normalize};
use super::parallel::team::Leader;
use super::parallel::threads::Threads;
use super::simd::InstructionSet;
use super::workspace::{Workspace, inner_stride};
use crate::attribution::LogitGradient;
use crate::backend::Forward;
use crate::error::Result;
use crate::input::batch::{SubBatch, TokenBatch};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;
use crate::model::matrix::Matrix;
use crate::model::weights::{Layer, LayerNorm, Linear};

/// Row-major weights of a linear layer, that were computed or copied.
#[derive(Clone)]
pub(crate) struct DenseMatrix {
    pub outputs: usize,
    pub inputs: usize,
    pub values: Vec<f32>,
}

/// A layer whose weights can be changed.
pub(crate) type DenseLayer = Layer<DenseMatrix>;

/// A model in f32 whose layers run one at a time.
pub(crate) struct LayerRunner {
    engine: Differentiable<f32>,
}

/// A layer to run.
#[derive(Clone, Copy)]
pub(crate) enum LayerWeights<'a> {
    /// The model's own layer.
    Own,
    /// Other weights, for the layer's place in the model.
    Other(&'a RunnableLayer),
}

/// Packed weights that can take the place of any layer, the last one too.
pub(crate) struct RunnableLayer {
    layer: PackedLayer<f32>,
    last_attention: Absorbed<f32>,
}

/// Memory for a layer's activations, reused from call to call.
#[derive(Default)]
pub(crate) struct LayerMemory {
    workspace: Workspace<f32>,
    query_key_value: AlignedVec,
    first_queries: FirstQueries,
    attention_sums: AlignedVec,
    feed_forward_sums: AlignedVec,
}

/// Activations of a layer, a row for each token, or for each sequence in the last layer.
#[derive(Clone, Copy)]
pub(crate) struct LayerActivations<'a> {
    /// Output of the heads, which `attention.out_lin` reads.
    pub context: Rows<'a>,
    /// Sums that the attention norm reads.
    pub attention_sums: &'a [f32],
    /// Output of the activation, which `ffn.lin2` reads, in rows that are longer than its width.
    pub inner: Rows<'a>,
    /// Sums that the feed-forward norm reads.
    pub feed_forward_sums: &'a [f32],
    /// Output of the layer.
    pub states: &'a [f32],
}

impl LayerRunner {
    /// Loads a model.
    ///
    /// # Errors
    /// Fails like loading a classifier in f32.
    pub fn load(config: Config, checkpoint: &Checkpoint, threads: usize) -> Result<Self> {
        let set = InstructionSet::choose(None)?;
        let isa = set.detect().ok_or_else(|| set.missing())?;
        let engine = Engine::load(isa, config, checkpoint, Threads::new(threads)?)?;
        Ok(Self { engine: Differentiable::new(engine) })
    }

    /// Calls `work` on the model's threads.
    pub fn lead<R: Send>(&self, work: impl FnOnce(Leader<'_>) -> R + Send) -> R {
        self.engine.engine().threads.run(work)
    }

    /// Computes the logits of a batch.
    pub fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        Forward::forward(&self.engine, batch, logits)
    }

    /// Packs a layer.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`](crate::CheckpointError::NotFinite).
    pub fn pack(&self, leader: Leader<'_>, layer: &DenseLayer) -> Result<RunnableLayer> {
        let Engine { isa, model, .. } = self.engine.engine();
        let mut executor = Executor { isa: *isa, leader };
        let mut linear = |linear: &Linear<DenseMatrix>| {
            let DenseMatrix { outputs, inputs, values } = linear.weight.clone();
            let matrix = Matrix::from_values(outputs, inputs, values);
            let weight = PackedMatrix::pack(&mut executor, &matrix)?;
            Ok::<_, crate::Error>(Linear { weight, bias: linear.bias.clone() })
        };
        let layer = Layer {
            query_key_value: linear(&layer.query_key_value)?,
            attention_output: linear(&layer.attention_output)?,
            attention_norm: layer.attention_norm.clone(),
            feed_forward_in: linear(&layer.feed_forward_in)?,
            feed_forward_out: linear(&layer.feed_forward_out)?,
            feed_forward_norm: layer.feed_forward_norm.clone(),
        };
        let last_attention = Absorbed::new(&mut executor, &layer, model.config.head_size());
        Ok(RunnableLayer { layer, last_attention })
    }

    /// Returns the embeddings of a batch, `[tokens, dim]`.
    pub fn embed(&self, leader: Leader<'_>, batch: &TokenBatch) -> Vec<f32> {
        let Engine { isa, model, .. } = self.engine.engine();
        let mut states = vec![0.0; batch.tokens() * model.config.dim];
        let mut executor = Executor { isa: *isa, leader };
        embed(&mut executor, &model.embeddings, &batch.as_sub_batch(), &mut states);
        states
    }

    /// Runs the layer of an index over a sub-batch. `states` are its input, `[tokens, dim]`.
    pub fn run<'m>(
        &self,
        leader: Leader<'_>,
        (index, weights): (usize, LayerWeights<'_>),
        (batch, states): (&SubBatch<'_>, &[f32]),
        memory: &'m mut LayerMemory,
    ) -> LayerActivations<'m> {
        let Engine { isa, model, threads, last_attention, .. } = self.engine.engine();
        let (dim, is_last) = (model.config.dim, index + 1 == model.layers.len());
        let (layer, last_attention) = match weights {
            LayerWeights::Own => (&model.layers[index], last_attention.as_ref()),
            LayerWeights::Other(other) => (&other.layer, Some(&other.last_attention)),
        };
        let LayerMemory { workspace, query_key_value, first_queries, .. } = memory;
        workspace.set_threads(threads.count());
        workspace.set_sequences(&model.config, batch.lengths());
        workspace.hidden.copy_from_slice(states);
        let count = if is_last { workspace.sequences.len() } else { workspace.sequences.tokens() };
        query_key_value.resize(workspace.sequences.tokens() * 3 * dim);
        memory.attention_sums.resize(count * dim);
        memory.feed_forward_sums.resize(count * dim);
        let buffers = LayerBuffers {
            query_key_value,
            first_queries,
            probabilities: None,
            attention_norm: SavedNorm::Inputs(&mut memory.attention_sums),
            activation: None,
            feed_forward_norm: SavedNorm::Inputs(&mut memory.feed_forward_sums),
        };
        let executor = Executor { isa: *isa, leader };
        let mut pass = Pass { model, last_attention: None, executor };
        pass.layer(layer, last_attention.filter(|_| is_last), workspace, buffers);
        let width = layer.attention_output.weight.inputs();
        let stride = inner_stride(layer.feed_forward_in.weight.outputs());
        LayerActivations {
            context: rows(&workspace.context[..count * width], width),
            attention_sums: &memory.attention_sums,
            inner: rows(&workspace.inner[..count * stride], stride),
            feed_forward_sums: &memory.feed_forward_sums,
            states: if is_last { &workspace.first_tokens } else { &workspace.hidden },
        }
    }

    /// Normalizes each row in place.
    pub fn normalize(&self, leader: Leader<'_>, norm: &LayerNorm, rows: &mut [f32]) {
        let mut executor = Executor { isa: self.engine.engine().isa, leader };
        normalize(&mut executor, norm, rows, SavedNorm::Nothing);
    }

    /// Backpropagates gradients of the logits through the model, and calls `take` with those of the sums before each
    /// layer norm, for one sub-batch after the other.
    pub fn gradients(
        &self,
        batch: &TokenBatch,
        gradient: LogitGradient<'_>,
        take: TakeGradients<'_>,
    ) {
        self.engine.sum_gradients(batch, gradient, take);
    }
}
