//! The forward pass: from a batch of tokens to logits.

use std::marker::PhantomData;
use std::ops::Range;

use crate::attribution::{AttentionRule, NormRule};
use crate::backend::Forward;
use crate::cpu::backward::saved::{LayerTrace, Trace};
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::weight::{Weight, rows};
use crate::cpu::memory::scratch::{Pool, Scratch};
use crate::cpu::ops::attention::{Attention, Queries};
use crate::cpu::ops::embeddings::{Table, embed};
use crate::cpu::ops::layer_norm::{normalize_rows, normalize_rows_with};
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::Isa;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::{Activation, Config};
use crate::model::matrix::{BadWeight, Matrix};
use crate::model::weights::{Head, Hold, Layer, LayerNorm, Linear, Model};

/// Tokens that go through the layers together: enough for full speed, and a bound on the scratch.
/// Rows are never cut, so a longer row still goes through alone.
const SUB_BATCH_TOKENS: usize = 1024;

/// The model as this engine holds it.
pub(super) type PackedModel<W> = Model<PackedMatrix<W>, <W as Weight>::Table>;

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

pub(super) struct Engine<I, W: Weight> {
    pub isa: I,
    pub model: PackedModel<W>,
    pub threads: Threads,
    pub scratch: Pool<Scratch<W>>,
}

impl<I: Isa, W: Weight> Engine<I, W> {
    pub fn load(isa: I, config: Config, checkpoint: &Checkpoint, threads: Threads) -> Result<Self> {
        // Packing takes all cores for a moment, also where a call will have one: the caller is waiting.
        let own = threads.is_one().then(|| Threads::new(Threads::default_count())).transpose()?;
        let model = own.as_ref().unwrap_or(&threads).run(|team| {
            Model::load(config, checkpoint, &Packing { isa, team, weight: PhantomData })
        })?;
        Ok(Self { isa, model, threads, scratch: Pool::default() })
    }
}

impl<I: Isa, W: Weight> Forward for Engine<I, W> {
    fn config(&self) -> &Config {
        &self.model.config
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        let mut scratch = self.scratch.take();
        scratch.resize(self.threads.count());
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
pub(super) fn inner_stride(hidden_dim: usize) -> usize {
    const LINE: usize = 16;
    hidden_dim + LINE
}

/// The steps of a forward pass; what they work on is in the [`Scratch`].
#[derive(Clone, Copy)]
pub(super) struct Pass<'a, I, W: Weight> {
    pub isa: I,
    pub model: &'a PackedModel<W>,
    pub team: &'a Team,
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
        let tokens = batch.row(rows.start).start..batch.row(rows.end - 1).end;
        self.prepare(scratch, rows.map(|row| batch.row(row).len()));
        self.embed(batch, tokens, &mut scratch.hidden);
        self.layers(scratch, None);
        self.head(scratch, logits, None);
    }

    /// Sizes the scratch for rows of these lengths.
    pub fn prepare(self, scratch: &mut Scratch<W>, lengths: impl Iterator<Item = usize>) {
        let Config { dim, hidden_dim, .. } = self.model.config;
        let mut tokens = 0;
        scratch.sequences.clear();
        scratch.sequences.extend(lengths.map(|length| {
            tokens += length;
            tokens - length..tokens
        }));
        let rows = scratch.sequences.len();
        scratch.hidden.resize(tokens * dim);
        scratch.query_key_value.resize(tokens * 3 * dim);
        scratch.context.resize(tokens * dim);
        scratch.inner.resize(tokens * inner_stride(hidden_dim));
        scratch.first_tokens.resize(rows * dim);
        scratch.first_queries.resize(rows * dim);
    }

    /// The embeddings of some tokens of a batch.
    pub fn embed(self, batch: &TokenBatch, tokens: Range<usize>, hidden: &mut [f32]) {
        embed(
            self.isa,
            self.team,
            &self.model.embeddings,
            &batch.input_ids()[tokens.clone()],
            &batch.positions()[tokens],
            hidden,
        );
    }

    /// `hidden` → `first_tokens`. A trace, of the right size, is filled on the way.
    pub fn layers(self, scratch: &mut Scratch<W>, trace: Option<&mut Trace>) {
        let mut kept = trace.map(|trace| trace.layers.iter_mut());
        if let Some((last, layers)) = self.model.layers.split_last() {
            for layer in layers {
                self.layer(layer, scratch, kept.as_mut().and_then(Iterator::next));
            }
            self.last_layer(last, scratch, kept.as_mut().and_then(Iterator::next));
        }
    }

    /// `hidden` → `hidden`, for every token.
    fn layer(
        self,
        layer: &Layer<PackedMatrix<W>>,
        scratch: &mut Scratch<W>,
        mut kept: Option<&mut LayerTrace>,
    ) {
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
        let (query_key_value, weights) = match &mut kept {
            None => (query_key_value, None),
            Some(LayerTrace { query_key_value: kept, weights, rules, .. }) => {
                let is_held = rules.attention == AttentionRule::HoldWeights;
                let projections = if kept.is_empty() { query_key_value } else { kept };
                (projections, is_held.then_some(weights))
            }
        };
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
        .run(self.isa, self.team, attention, context, weights);
        self.after_attention(layer, linear_scratch, context, inner, hidden, kept);
    }

    /// `hidden` → `first_tokens`: the head reads only the first token of each row, so only keys and
    /// values are needed of the others.
    fn last_layer(
        self,
        layer: &Layer<PackedMatrix<W>>,
        scratch: &mut Scratch<W>,
        mut kept: Option<&mut LayerTrace>,
    ) {
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
        let (query_key_value, first_queries) = match &mut kept {
            Some(kept) => (&mut kept.query_key_value, &mut kept.first_queries),
            None => (query_key_value, first_queries),
        };
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
        .run(self.isa, self.team, attention, context, None);
        self.after_attention(layer, linear_scratch, context, inner, first_tokens, kept);
    }

    /// What follows attention in a layer: `states` → `states`, with one row of `context` for each.
    fn after_attention(
        self,
        layer: &Layer<PackedMatrix<W>>,
        linear_scratch: &mut LinearScratch<W>,
        context: &[f32],
        inner: &mut [f32],
        states: &mut [f32],
        mut kept: Option<&mut LayerTrace>,
    ) {
        let Config { dim, hidden_dim, .. } = self.model.config;
        let inner_stride = inner_stride(hidden_dim);
        let inner = &mut inner[..states.len() / dim * inner_stride];
        self.linear(
            &layer.attention_output,
            Epilogue::BiasResidual,
            linear_scratch,
            context,
            states,
        );
        let norm = kept.as_mut().map(|kept| (kept.rules.layer_norm, &mut *kept.attention_norm));
        self.normalize(&layer.attention_norm, states, norm);
        self.feed_forward_in(layer, linear_scratch, states, inner, kept.as_deref_mut());
        Product {
            input: rows(inner, inner_stride),
            linear: &layer.feed_forward_out,
            outputs: 0..dim,
            epilogue: Epilogue::BiasResidual,
        }
        .run(self.isa, self.team, linear_scratch, states, dim);
        let norm = kept.map(|kept| (kept.rules.layer_norm, &mut *kept.feed_forward_norm));
        self.normalize(&layer.feed_forward_norm, states, norm);
    }

    /// The first feed-forward layer and its activation: `states` → `inner`.
    fn feed_forward_in(
        self,
        layer: &Layer<PackedMatrix<W>>,
        linear_scratch: &mut LinearScratch<W>,
        states: &[f32],
        inner: &mut [f32],
        kept: Option<&mut LayerTrace>,
    ) {
        let Config { dim, hidden_dim, activation, .. } = self.model.config;
        Product {
            input: rows(states, dim),
            linear: &layer.feed_forward_in,
            outputs: 0..hidden_dim,
            epilogue: match activation {
                Activation::Gelu => Epilogue::BiasGelu,
                Activation::Relu => Epilogue::BiasRelu,
            },
        }
        .run_and_keep(
            self.isa,
            self.team,
            linear_scratch,
            (inner, inner_stride(hidden_dim)),
            kept.map(|kept| (kept.rules.activation, &mut *kept.inner)),
        );
    }

    /// Normalizes states in place, and keeps what the rule needs: the states as they were, or one over the
    /// deviation of each.
    fn normalize(self, norm: &LayerNorm, states: &mut [f32], kept: Option<(NormRule, &mut [f32])>) {
        let (isa, team, dim) = (self.isa, self.team, norm.weight.len());
        match kept.map(|(rule, kept)| (rule, Parts::new(kept))) {
            None => normalize_rows(isa, team, norm, states),
            Some((NormRule::Gradient, kept)) => {
                let copy = |index: usize, row: &mut [f32]| {
                    // SAFETY: each row is prepared once.
                    unsafe { kept.part(index * dim..(index + 1) * dim) }.copy_from_slice(row);
                };
                normalize_rows_with(isa, team, norm, states, copy, |_, _| ());
            }
            Some((NormRule::HoldDeviation, kept)) => {
                let keep = |index: usize, inverse: f32| {
                    // SAFETY: each row is finished once.
                    unsafe { kept.part(index..index + 1) }.fill(inverse);
                };
                normalize_rows_with(isa, team, norm, states, |_, _| (), keep);
            }
        }
    }

    /// `first_tokens` → logits. What the ReLU gets, `[rows, dim]`, can be kept.
    pub fn head(self, scratch: &mut Scratch<W>, logits: &mut [f32], kept: Option<&mut [f32]>) {
        let Head { pre_classifier, classifier, .. } = &self.model.head;
        let Scratch { first_tokens, first_queries: pooled, linear: scratch, .. } = scratch;
        if let Some(kept) = kept {
            self.linear(pre_classifier, Epilogue::Bias, scratch, first_tokens, kept);
            for (pooled, &kept) in pooled.iter_mut().zip(&*kept) {
                *pooled = if kept > 0.0 { kept } else { 0.0 };
            }
        } else {
            self.linear(pre_classifier, Epilogue::BiasRelu, scratch, first_tokens, pooled);
        }
        self.linear(classifier, Epilogue::Bias, scratch, pooled, logits);
    }

    /// A whole linear layer from rows to rows, both without gaps.
    pub fn linear(
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
