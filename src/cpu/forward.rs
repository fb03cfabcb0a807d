//! The forward pass: from a batch of tokens to logits.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::executor::Executor;
use super::gemm::epilogue::Epilogue;
use super::gemm::pack::PackedMatrix;
use super::gemm::rows::rows;
use super::gemm::weight::Weight;
use super::last_layer::{FirstQueries, FirstTokenAttention, FirstTokens};
use super::memory::pool::Pool;
use super::ops::attention::{Attention, Queries};
use super::ops::embeddings::{Table, embed};
use super::ops::layer_norm::{SavedNorm, normalize};
use super::ops::linear::{LinearScratch, Product, SavedActivation};
use super::ops::probabilities::SavedProbabilities;
use super::parallel::team::Leader;
use super::parallel::threads::Threads;
use super::simd::SelectedIsa;
use super::workspace::{Workspace, inner_stride};
use crate::backend::Forward;
use crate::error::{ConfigError, Result};
use crate::input::batch::{SubBatch, TokenBatch};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::{Activation, Config};
use crate::model::matrix::Matrix;
use crate::model::weights::{Head, Layer, Model, WeightStore};

/// Maximum number of tokens per sub-batch: enough for full speed, and a bound on the workspace. Rows are never split,
/// so a longer row is a sub-batch of its own.
const SUB_BATCH_TOKENS: usize = 1024;

/// A model with packed weights.
pub(super) type PackedModel<W> = Model<PackedMatrix<W>, <W as Weight>::Table>;

/// A layer with packed weights.
pub(crate) type PackedLayer<W> = Layer<PackedMatrix<W>>;

/// Packs weights as they are loaded.
struct Packing<'a, W> {
    executor: RefCell<Executor<'a>>,
    weight: PhantomData<W>,
}

impl<W: Weight> WeightStore for Packing<'_, W> {
    type Matrix = PackedMatrix<W>;
    type Table = W::Table;

    fn matrix(&self, matrix: Matrix<'_>) -> Result<PackedMatrix<W>> {
        PackedMatrix::pack(&mut self.executor.borrow_mut(), &matrix)
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<W::Table> {
        W::Table::from_matrix(&mut self.executor.borrow_mut(), matrix)
    }
}

/// A model on an instruction set and threads.
pub(super) struct Engine<W: Weight> {
    pub isa: SelectedIsa,
    pub model: PackedModel<W>,
    pub threads: Arc<Threads>,
    /// `None` for a model without layers.
    pub last_attention: Option<W::FirstTokenAttention>,
    workspaces: Pool<Workspace<W>>,
}

impl<W: Weight> Engine<W> {
    /// Loads and packs a model.
    ///
    /// # Errors
    /// [`ConfigError::Field`] if layers have more inputs than sums of the weight type allow; otherwise as for
    /// [`Model::load`].
    pub fn load(
        isa: SelectedIsa,
        config: Config,
        checkpoint: &Checkpoint,
        threads: impl Into<Arc<Threads>>,
    ) -> Result<Self> {
        let threads = threads.into();
        check_inputs::<W>(&config)?;
        // Packing briefly uses all cores, even where calls will have one: the caller is waiting.
        let own =
            threads.is_caller().then(|| Threads::new(Threads::default_count())).transpose()?;
        let (model, last_attention) = own.as_ref().unwrap_or(&*threads).run(|leader| {
            let packing =
                Packing { executor: RefCell::new(Executor { isa, leader }), weight: PhantomData };
            let model = Model::load(config, checkpoint, &packing)?;
            let mut executor = packing.executor.into_inner();
            let head_size = model.config.head_size();
            let last = model.layers.last();
            let last = last.map(|last| W::FirstTokenAttention::new(&mut executor, last, head_size));
            Ok::<_, crate::Error>((model, last))
        })?;
        let workspaces = Pool::new(threads.concurrent_calls());
        Ok(Self { isa, model, threads, last_attention, workspaces })
    }

    /// Computes logits like [`forward`](Forward::forward), on threads that the caller already leads.
    pub fn forward_led(&self, leader: Leader<'_>, batch: &TokenBatch, logits: &mut [f32]) {
        self.workspaces.with(|workspace| {
            workspace.set_threads(self.threads.count());
            let mut pass = self.pass(leader);
            for batch in batch.sub_batches(SUB_BATCH_TOKENS) {
                let outputs = self.model.head.outputs;
                let logits = &mut logits[batch.rows.start * outputs..batch.rows.end * outputs];
                pass.embed(&batch, workspace);
                pass.layers(workspace, &mut Discard);
                pass.head(workspace, logits, None);
            }
        });
    }
}

impl<W: Weight> Engine<W> {
    /// Returns a forward pass on threads that the caller leads.
    pub fn pass<'a>(&'a self, leader: Leader<'a>) -> Pass<'a, W> {
        Pass {
            model: &self.model,
            last_attention: self.last_attention.as_ref(),
            executor: Executor { isa: self.isa, leader },
        }
    }
}

/// Checks that no layer has more inputs than sums of the weight type allow.
fn check_inputs<W: Weight>(config: &Config) -> Result<(), ConfigError> {
    for (field, inputs) in [("dim", config.dim), ("hidden_dim", config.largest_hidden_dim())] {
        if inputs > W::MAX_INPUTS {
            return Err(ConfigError::Field {
                field,
                expected: format!("at most {} with 8-bit weights", W::MAX_INPUTS),
                found: inputs.to_string(),
            });
        }
    }
    Ok(())
}

impl<W: Weight> Forward for Engine<W> {
    fn config(&self) -> &Config {
        &self.model.config
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        self.threads.run(|leader| self.forward_led(leader, batch, logits));
        Ok(())
    }

    #[cfg(feature = "text")]
    fn try_share(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) -> bool {
        self.threads.try_share(tasks, task)
    }
}

/// Buffers that a layer writes and the rest of the forward pass does not read.
pub(super) struct LayerBuffers<'a> {
    /// `[tokens, 3·width]`: queries, keys and values, each as wide as the layer's heads together. May be longer.
    pub query_key_value: &'a mut [f32],
    pub first_queries: &'a mut FirstQueries,
    pub probabilities: Option<&'a mut SavedProbabilities>,
    pub attention_norm: SavedNorm<'a>,
    pub activation: Option<SavedActivation<'a>>,
    pub feed_forward_norm: SavedNorm<'a>,
}

/// Choice of each layer's buffers: memory that all layers share, or memory of its own for the backward pass.
pub(super) trait ChooseBuffers {
    /// Returns the buffers of a layer, given the shared ones for queries, keys and values, and for queries of first
    /// tokens.
    fn of_layer<'a>(
        &'a mut self,
        index: usize,
        shared: (&'a mut [f32], &'a mut FirstQueries),
    ) -> LayerBuffers<'a>;
}

/// Saves nothing.
struct Discard;

impl ChooseBuffers for Discard {
    fn of_layer<'a>(
        &'a mut self,
        _: usize,
        (query_key_value, first_queries): (&'a mut [f32], &'a mut FirstQueries),
    ) -> LayerBuffers<'a> {
        LayerBuffers {
            query_key_value,
            first_queries,
            probabilities: None,
            attention_norm: SavedNorm::Nothing,
            activation: None,
            feed_forward_norm: SavedNorm::Nothing,
        }
    }
}

/// The steps of a forward pass over the buffers of a [`Workspace`].
pub(super) struct Pass<'a, W: Weight> {
    pub model: &'a PackedModel<W>,
    pub last_attention: Option<&'a W::FirstTokenAttention>,
    pub executor: Executor<'a>,
}

impl<W: Weight> Pass<'_, W> {
    /// Sizes the workspace for a sub-batch and writes its embeddings to `hidden`.
    pub fn embed(&mut self, batch: &SubBatch<'_>, workspace: &mut Workspace<W>) {
        workspace.set_sequences(&self.model.config, batch.lengths());
        embed(&mut self.executor, &self.model.embeddings, batch, &mut workspace.hidden);
    }

    /// Runs all layers: `hidden` → `first_tokens`.
    pub fn layers(&mut self, workspace: &mut Workspace<W>, buffers: &mut impl ChooseBuffers) {
        let mut query_key_value = std::mem::take(&mut workspace.query_key_value);
        let mut first_queries = std::mem::take(&mut workspace.first_queries);
        let model = self.model;
        for (index, layer) in model.layers.iter().enumerate() {
            let buffers = buffers.of_layer(index, (&mut query_key_value, &mut first_queries));
            // The head reads only the first token of each row, so in the last layer no other token attends.
            let is_last = index + 1 == model.layers.len();
            let last_attention = self.last_attention.filter(|_| is_last);
            self.layer(layer, last_attention, workspace, buffers);
        }
        workspace.query_key_value = query_key_value;
        workspace.first_queries = first_queries;
    }

    /// Runs one layer: `hidden` → `hidden`, or `hidden` → `first_tokens` with the last layer's attention.
    pub fn layer(
        &mut self,
        layer: &PackedLayer<W>,
        last_attention: Option<&W::FirstTokenAttention>,
        workspace: &mut Workspace<W>,
        buffers: LayerBuffers<'_>,
    ) {
        let (config, executor) = (&self.model.config, &mut self.executor);
        let (dim, head_size) = (config.dim, config.head_size());
        let width = layer.attention_output.weight.inputs();
        let Workspace { sequences, hidden, first_tokens, context, inner, linear, .. } = workspace;
        let LayerBuffers { query_key_value, first_queries, .. } = buffers;
        let (states, context) = if let Some(attention) = last_attention {
            for (first, tokens) in first_tokens.chunks_exact_mut(dim).zip(sequences.iter()) {
                first.copy_from_slice(&hidden[tokens.start * dim..][..dim]);
            }
            let context = &mut context[..sequences.len() * width];
            let step = FirstTokens {
                layer,
                config,
                sequences,
                hidden,
                first_tokens,
                queries: first_queries,
                query_key_value,
                averages: &mut workspace.averages,
                linear,
                attention: &mut workspace.attention,
            };
            attention.attend(executor, step, context);
            (first_tokens, context)
        } else {
            let query_key_value = &mut query_key_value[..sequences.tokens() * 3 * width];
            Product::dense(&layer.query_key_value, Epilogue::Bias, hidden).multiply(
                executor,
                linear,
                (&mut *query_key_value, 3 * width),
            );
            let context = &mut context[..sequences.tokens() * width];
            Attention {
                heads: width / head_size,
                head_size,
                sequences,
                queries: Queries::AllTokens,
                query: rows(query_key_value, 3 * width),
                key: rows(&query_key_value[width..], 3 * width),
                value: rows(&query_key_value[2 * width..], 3 * width),
            }
            .attend(executor, &mut workspace.attention, context, buffers.probabilities);
            (hidden, context)
        };
        Product::dense(&layer.attention_output, Epilogue::BiasResidual, context).multiply(
            executor,
            linear,
            (&mut *states, dim),
        );
        normalize(executor, &layer.attention_norm, states, buffers.attention_norm);
        self.feed_forward(layer, states, (inner, linear), buffers.activation);
        normalize(&mut self.executor, &layer.feed_forward_norm, states, buffers.feed_forward_norm);
    }

    /// Adds the output of a layer's feed-forward network to its input, `states`.
    fn feed_forward(
        &mut self,
        layer: &PackedLayer<W>,
        states: &mut [f32],
        (inner, linear): (&mut [f32], &mut LinearScratch<W>),
        saved: Option<SavedActivation<'_>>,
    ) {
        let Config { dim, activation, .. } = self.model.config;
        let hidden_dim = layer.feed_forward_in.weight.outputs();
        let (executor, stride) = (&mut self.executor, inner_stride(hidden_dim));
        let inner = &mut inner[..states.len() / dim * stride];
        let epilogue = match activation {
            Activation::Gelu => Epilogue::BiasGelu,
            Activation::Relu => Epilogue::BiasRelu,
        };
        Product {
            input: rows(states, dim),
            linear: &layer.feed_forward_in,
            outputs: 0..hidden_dim,
            epilogue,
        }
        .multiply_and_save(executor, linear, (&mut *inner, stride), saved);
        Product {
            input: rows(inner, stride),
            linear: &layer.feed_forward_out,
            outputs: 0..dim,
            epilogue: Epilogue::BiasResidual,
        }
        .multiply(executor, linear, (states, dim));
    }

    /// Runs the head: `first_tokens` → logits. The ReLU's input, `[sequences, dim]`, can be saved.
    pub fn head(
        &mut self,
        workspace: &mut Workspace<W>,
        logits: &mut [f32],
        saved: Option<SavedActivation<'_>>,
    ) {
        let Head { pre_classifier, classifier, outputs } = &self.model.head;
        let Workspace { first_tokens, pooled, linear, .. } = workspace;
        let dim = self.model.config.dim;
        Product::dense(pre_classifier, Epilogue::BiasRelu, first_tokens).multiply_and_save(
            &mut self.executor,
            linear,
            (&mut *pooled, dim),
            saved,
        );
        Product::dense(classifier, Epilogue::Bias, pooled).multiply(
            &mut self.executor,
            linear,
            (logits, *outputs),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dim: usize, hidden_dim: usize) -> Config {
        Config {
            dim,
            hidden_dim,
            n_layers: 1,
            n_heads: 1,
            pruned_heads: Default::default(),
            hidden_dims: Vec::new(),
            vocab_size: 1,
            max_position_embeddings: 1,
            sinusoidal_pos_embds: false,
            activation: Activation::Gelu,
            pad_token_id: 0,
            id2label: Vec::new(),
            problem_type: None,
            architecture: None,
        }
    }

    #[test]
    fn int8_refuses_layers_whose_sums_could_overflow() {
        let most = <i8 as Weight>::MAX_INPUTS;
        assert_eq!(most, 133_674);
        assert!(check_inputs::<i8>(&config(768, most)).is_ok());
        assert!(check_inputs::<f32>(&config(768, most + 1)).is_ok());
        let error = check_inputs::<i8>(&config(768, most + 1)).unwrap_err();
        assert!(matches!(&error, ConfigError::Field { field: "hidden_dim", .. }), "{error}");
        assert!(check_inputs::<i8>(&config(most + 1, 768)).is_err());
    }
}
