//! The forward pass: from a batch of tokens to logits.

use std::marker::PhantomData;
use std::ops::Range;

use half::f16;

use super::attention::{Attention, Queries};
use super::embeddings::{Table, embed};
use super::isa::{InstructionSet, Isa, Kernel};
use super::layer_norm::normalise_rows;
use super::linear::{Epilogue, LinearScratch, PackedMatrix, Product};
use super::scratch::{Scratch, ScratchPool};
use super::team::Team;
use super::threads::Threads;
use super::weight::{Weight, rows};
use crate::batch::TokenBatch;
use crate::checkpoint::Checkpoint;
use crate::config::{Activation, Config};
use crate::error::Result;
use crate::forward::Forward;
use crate::matrix::{BadWeight, Matrix};
use crate::model::{Head, Hold, Layer, Linear, Model};
use crate::precision::Precision;

/// Tokens that go through the layers together: enough for full speed, and a bound on the scratch.
/// Rows are never cut, so a longer row still goes through alone.
const SUB_BATCH_TOKENS: usize = 1024;

/// Loads a model for an instruction set that [`InstructionSet::choose`] has returned.
pub(crate) fn load(
    config: Config,
    checkpoint: &Checkpoint,
    set: InstructionSet,
    precision: Precision,
    threads: Threads,
) -> Result<Box<dyn Forward>> {
    struct Load<'a>(Config, &'a Checkpoint, Precision, Threads);
    impl Kernel for Load<'_> {
        type Output = Result<Box<dyn Forward>>;

        fn run<I: Isa>(self, isa: I) -> Self::Output {
            let Self(config, checkpoint, precision, threads) = self;
            Ok(match precision {
                Precision::F32 => {
                    Box::new(Engine::<I, f32>::load(isa, config, checkpoint, threads)?)
                }
                Precision::F16 => {
                    Box::new(Engine::<I, f16>::load(isa, config, checkpoint, threads)?)
                }
                Precision::Int8 => {
                    Box::new(Engine::<I, i8>::load(isa, config, checkpoint, threads)?)
                }
            })
        }
    }
    set.run(Load(config, checkpoint, precision, threads)).unwrap_or_else(|| Err(set.missing()))
}

/// The model as this engine holds it.
type PackedModel<W> = Model<PackedMatrix<W>, <W as Weight>::Table>;

/// Packs weights for an instruction set.
struct Packing<'a, I, W> {
    isa: I,
    team: &'a Team,
    weight: PhantomData<W>,
}

impl<I: Isa, W: Weight> Hold for Packing<'_, I, W> {
    type Matrix = PackedMatrix<W>;
    type Table = W::Table;

    fn matrix(&self, matrix: Matrix<'_>) -> Result<PackedMatrix<W>, BadWeight> {
        PackedMatrix::pack(self.isa, self.team, &matrix)
    }

    fn table(&self, matrix: Matrix<'_>) -> Result<W::Table, BadWeight> {
        W::Table::from_matrix(self.team, matrix)
    }
}

struct Engine<I, W: Weight> {
    isa: I,
    model: PackedModel<W>,
    threads: Threads,
    scratch: ScratchPool<W>,
}

impl<I: Isa, W: Weight> Engine<I, W> {
    fn load(isa: I, config: Config, checkpoint: &Checkpoint, threads: Threads) -> Result<Self> {
        // Packing takes all cores for a moment, also where a call will have one: the caller is waiting.
        let own = threads.is_one().then(|| Threads::new(Threads::default_count())).transpose()?;
        let model = own.as_ref().unwrap_or(&threads).run(|team| {
            Model::load(config, checkpoint, &Packing { isa, team, weight: PhantomData })
        })?;
        Ok(Self { isa, model, threads, scratch: ScratchPool::default() })
    }
}

impl<I: Isa, W: Weight> Forward for Engine<I, W> {
    fn config(&self) -> &Config {
        &self.model.config
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        let mut scratch = self.scratch.take(self.threads.count());
        self.threads.run(|team| {
            let pass = Pass { isa: self.isa, model: &self.model, team };
            for rows in batch.parts(SUB_BATCH_TOKENS, usize::MAX) {
                let outputs = self.model.head.outputs;
                let logits = &mut logits[rows.start * outputs..rows.end * outputs];
                pass.run(&mut scratch, batch, rows, logits);
            }
        });
        self.scratch.give_back(scratch);
        Ok(())
    }
}

/// The distance of rows between the two feed-forward layers. A cache line more than they are long, since
/// a tile's rows, were they 12 KiB apart, would all meet in one set of L1.
fn inner_stride(hidden_dim: usize) -> usize {
    const LINE: usize = 16;
    hidden_dim + LINE
}

/// The steps of a forward pass; what they work on is in the [`Scratch`].
#[derive(Clone, Copy)]
struct Pass<'a, I, W: Weight> {
    isa: I,
    model: &'a PackedModel<W>,
    team: &'a Team,
}

impl<I: Isa, W: Weight> Pass<'_, I, W> {
    /// Computes the logits of some rows of a batch.
    fn run(
        self,
        scratch: &mut Scratch<W>,
        batch: &TokenBatch,
        rows: Range<usize>,
        logits: &mut [f32],
    ) {
        self.embed(scratch, batch, rows);
        if let Some((last, layers)) = self.model.layers.split_last() {
            for layer in layers {
                self.layer(layer, scratch);
            }
            self.last_layer(last, scratch);
        }
        self.head(scratch, logits);
    }

    /// Sizes the scratch for some rows of a batch and fills `hidden` with their embeddings.
    fn embed(self, scratch: &mut Scratch<W>, batch: &TokenBatch, rows: Range<usize>) {
        let Config { dim, hidden_dim, .. } = self.model.config;
        let tokens = batch.row(rows.start).start..batch.row(rows.end - 1).end;
        scratch.hidden.resize(tokens.len() * dim);
        scratch.query_key_value.resize(tokens.len() * 3 * dim);
        scratch.context.resize(tokens.len() * dim);
        scratch.inner.resize(tokens.len() * inner_stride(hidden_dim));
        scratch.first_tokens.resize(rows.len() * dim);
        scratch.first_queries.resize(rows.len() * dim);
        scratch.sequences.clear();
        scratch.sequences.extend(rows.map(|row| {
            let row = batch.row(row);
            row.start - tokens.start..row.end - tokens.start
        }));
        embed(
            self.isa,
            self.team,
            &self.model.embeddings,
            &batch.input_ids()[tokens.clone()],
            &batch.positions()[tokens],
            &mut scratch.hidden,
        );
    }

    /// `hidden` → `hidden`, for every token.
    fn layer(self, layer: &Layer<PackedMatrix<W>>, scratch: &mut Scratch<W>) {
        let dim = self.model.config.dim;
        let Scratch {
            hidden,
            query_key_value,
            context,
            inner,
            linear: linear_scratch,
            sequences,
            attention,
            ..
        } = scratch;
        Product {
            input: rows(hidden, dim),
            linear: &layer.query_key_value,
            outputs: 0..3 * dim,
            epilogue: Epilogue::Bias,
        }
        .run(self.isa, self.team, linear_scratch, query_key_value, 3 * dim);
        Attention {
            heads: self.model.config.n_heads,
            head_size: self.model.config.head_size(),
            sequences,
            queries: Queries::AllTokens,
            query: rows(query_key_value, 3 * dim),
            key: rows(&query_key_value[dim..], 3 * dim),
            value: rows(&query_key_value[2 * dim..], 3 * dim),
        }
        .run(self.isa, self.team, attention, context);
        self.after_attention(layer, linear_scratch, context, inner, hidden);
    }

    /// `hidden` → `first_tokens`: the head reads only the first token of each row, so only keys and
    /// values are needed of the others.
    fn last_layer(self, layer: &Layer<PackedMatrix<W>>, scratch: &mut Scratch<W>) {
        let dim = self.model.config.dim;
        let Scratch {
            hidden,
            query_key_value,
            context,
            inner,
            linear: linear_scratch,
            first_tokens,
            first_queries,
            sequences,
            attention,
        } = scratch;
        for (first, sequence) in first_tokens.chunks_exact_mut(dim).zip(&*sequences) {
            first.copy_from_slice(&hidden[sequence.start * dim..][..dim]);
        }
        Product {
            input: rows(hidden, dim),
            linear: &layer.query_key_value,
            outputs: dim..3 * dim,
            epilogue: Epilogue::Bias,
        }
        .run(self.isa, self.team, linear_scratch, query_key_value, 3 * dim);
        Product {
            input: rows(first_tokens, dim),
            linear: &layer.query_key_value,
            outputs: 0..dim,
            epilogue: Epilogue::Bias,
        }
        .run(self.isa, self.team, linear_scratch, first_queries, dim);
        let context = &mut context[..first_tokens.len()];
        Attention {
            heads: self.model.config.n_heads,
            head_size: self.model.config.head_size(),
            sequences,
            queries: Queries::FirstTokens,
            query: rows(first_queries, dim),
            key: rows(&query_key_value[dim..], 3 * dim),
            value: rows(&query_key_value[2 * dim..], 3 * dim),
        }
        .run(self.isa, self.team, attention, context);
        self.after_attention(layer, linear_scratch, context, inner, first_tokens);
    }

    /// What follows attention in a layer: `states` → `states`, with one row of `context` for each.
    fn after_attention(
        self,
        layer: &Layer<PackedMatrix<W>>,
        linear_scratch: &mut LinearScratch<W>,
        context: &[f32],
        inner: &mut [f32],
        states: &mut [f32],
    ) {
        let Config { dim, hidden_dim, activation, .. } = self.model.config;
        let inner_stride = inner_stride(hidden_dim);
        let inner = &mut inner[..states.len() / dim * inner_stride];
        self.linear(
            &layer.attention_output,
            Epilogue::BiasResidual,
            linear_scratch,
            context,
            states,
        );
        normalise_rows(self.isa, self.team, &layer.attention_norm, states);
        let activation = match activation {
            Activation::Gelu => Epilogue::BiasGelu,
            Activation::Relu => Epilogue::BiasRelu,
        };
        Product {
            input: rows(states, dim),
            linear: &layer.feed_forward_in,
            outputs: 0..hidden_dim,
            epilogue: activation,
        }
        .run(self.isa, self.team, linear_scratch, inner, inner_stride);
        Product {
            input: rows(inner, inner_stride),
            linear: &layer.feed_forward_out,
            outputs: 0..dim,
            epilogue: Epilogue::BiasResidual,
        }
        .run(self.isa, self.team, linear_scratch, states, dim);
        normalise_rows(self.isa, self.team, &layer.feed_forward_norm, states);
    }

    /// `first_tokens` → logits.
    fn head(self, scratch: &mut Scratch<W>, logits: &mut [f32]) {
        let Head { pre_classifier, classifier, .. } = &self.model.head;
        let Scratch { first_tokens, first_queries: pooled, linear: scratch, .. } = scratch;
        self.linear(pre_classifier, Epilogue::BiasRelu, scratch, first_tokens, pooled);
        self.linear(classifier, Epilogue::Bias, scratch, pooled, logits);
    }

    /// A whole linear layer from rows to rows, both without gaps.
    fn linear(
        self,
        linear: &Linear<PackedMatrix<W>>,
        epilogue: Epilogue,
        linear_scratch: &mut LinearScratch<W>,
        input: &[f32],
        output: &mut [f32],
    ) {
        let (inputs, outputs) = (linear.weight.inputs(), linear.weight.outputs());
        Product { input: rows(input, inputs), linear, outputs: 0..outputs, epilogue }.run(
            self.isa,
            self.team,
            linear_scratch,
            output,
            outputs,
        );
    }
}
