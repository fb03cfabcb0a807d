//! The steps of a backward pass.

use std::ops::Range;

use super::activation::{ActivationBackward, add_bias_shares};
use super::attention::{AttentionBackward, AttentionBackwardScratch, Gradients};
use super::first_tokens::FirstTokensBackward;
use super::held_attention::HeldAttentionBackward;
use super::layer_norm::{NormBackward, undivided};
use super::spread::{Spread, SpreadOut};
use super::transposed::{Transposed, TransposedLayer};
use crate::attribution::{ActivationRule, AttentionRule, NormRule, Rules, Shares};
use crate::cpu::backward::saved::{LayerTrace, Trace};
use crate::cpu::forward::{Pass, inner_stride};
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::weight::{FloatWeight, Weight, rows};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::memory::scratch::Scratch;
use crate::cpu::ops::attention::{Attention, Queries};
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::simd::Isa;
use crate::cpu::simd::lanes::Dot;
use crate::model::config::Config;
use crate::model::weights::{Layer, Linear};

/// Tokens of one task of [`BackwardPass::relevance`].
const TASK_TOKENS: usize = 16;

/// What operations take of the relevance, kept apart by who adds to it.
#[derive(Default)]
pub(super) struct Sums {
    /// For each row: the head, and what the last layer does with first tokens.
    rows: Vec<Shares>,
    /// For each token.
    tokens: Vec<Shares>,
    /// For each row and head of attention.
    heads: Vec<Shares>,
}

impl Sums {
    fn reset(&mut self, rows: usize, tokens: usize, heads: usize) {
        for (sums, len) in
            [(&mut self.rows, rows), (&mut self.tokens, tokens), (&mut self.heads, rows * heads)]
        {
            sums.clear();
            sums.resize(len, Shares::default());
        }
    }

    /// All of each row.
    pub fn of_rows(&self, sequences: &[Range<usize>], to: &mut [Shares]) {
        let heads = self.heads.len() / self.rows.len();
        for (row, (tokens, to)) in sequences.iter().zip(to).enumerate() {
            *to = self.rows[row];
            self.tokens[tokens.clone()].iter().for_each(|&shares| *to += shares);
            self.heads[row * heads..(row + 1) * heads].iter().for_each(|&shares| *to += shares);
        }
    }
}

/// What attention works in.
#[derive(Default)]
pub(super) struct AttentionMemory {
    /// For each thread.
    pub threads: Vec<AttentionBackwardScratch>,
    /// Of the last layer's values and keys.
    spreads: [Spread; 2],
    /// What has become of their vectors, those of values first, and then of first tokens.
    vectors: AlignedVec,
    /// What becomes of those between the two feed-forward layers.
    inner_vectors: AlignedVec,
}

/// The steps of a backward pass; what they work on is in the [`Scratch`] that the forward pass has left.
#[derive(Clone, Copy)]
pub(super) struct BackwardPass<'a, I, W: Weight> {
    pub pass: Pass<'a, I, W>,
    pub transposed: &'a Transposed<W>,
    pub rules: Rules,
    /// What the gradients of the embeddings are multiplied with.
    pub directions: Directions,
}

/// A layer on the way back.
struct LayerBack<'a, W: Weight> {
    layer: &'a Layer<PackedMatrix<W>>,
    transposed: &'a TransposedLayer<W>,
    kept: &'a mut LayerTrace,
}

/// What the gradients of the embeddings are multiplied with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directions {
    /// The embeddings, as the first layer has got them.
    Embeddings,
    /// Anything.
    Others,
}

impl<I: Isa, W: FloatWeight> BackwardPass<'_, I, W> {
    /// Whether the first layer's gradients stop at its queries, keys and values. `x · (g W)` is `(W x) · g`:
    /// where `x` went through the layer on the way there, `W x` is at hand, and no product is needed.
    ///
    /// The last layer makes no queries of most tokens.
    fn stops_at_projections(self) -> bool {
        self.directions == Directions::Embeddings && self.pass.model.layers.len() > 1
    }

    /// From the gradients of the logits to those of the embeddings, in `hidden`, or where they stop.
    pub fn run(
        self,
        scratch: &mut Scratch<W>,
        attention: &mut AttentionMemory,
        trace: &mut Trace,
        (logit_gradients, gates): (&[f32], &[f32]),
        sums: &mut Sums,
    ) {
        let config = &self.pass.model.config;
        let tokens = scratch.hidden.len() / config.dim;
        sums.reset(scratch.sequences.len(), tokens, config.n_heads);
        self.head(scratch, (logit_gradients, gates), sums);
        let layers = self.pass.model.layers.iter().zip(&self.transposed.layers);
        let layers = layers.zip(&mut trace.layers).rev();
        let mut layers =
            layers.map(|((layer, transposed), kept)| LayerBack { layer, transposed, kept });
        if let Some(mut last) = layers.next() {
            self.last_layer(&mut last, scratch, attention, sums);
        }
        // What the last layer has spread is so for the next alone.
        let mut is_spread = self.rules.layer_norm == NormRule::HoldDeviation;
        while let Some(mut back) = layers.next() {
            self.layer(&mut back, std::mem::take(&mut is_spread), scratch, attention, sums);
            if layers.len() > 0 || !self.stops_at_projections() {
                self.projections(back.transposed, scratch);
            }
        }
    }

    /// The sum of each token's gradient times its direction.
    pub fn relevance(
        self,
        scratch: &Scratch<W>,
        trace: &Trace,
        directions: &[f32],
        relevance: &mut [f32],
    ) {
        let Scratch { hidden, query_key_value: gradients, .. } = scratch;
        let dim = self.pass.model.config.dim;
        let count = relevance.len();
        let first = self.pass.model.layers.first().zip(trace.layers.first());
        let first = first.filter(|_| self.stops_at_projections());
        let relevance = Parts::new(relevance);
        self.pass.team.for_each(count.div_ceil(TASK_TOKENS), |_, task| {
            for token in task * TASK_TOKENS..count.min((task + 1) * TASK_TOKENS) {
                let product = |a, b| f64::from(self.pass.isa.run(Dot(a, b)));
                let values = token * dim..(token + 1) * dim;
                let mut sum = product(&hidden[values.clone()], &directions[values.clone()]);
                if let Some((layer, kept)) = first {
                    let outputs = &kept.query_key_value[token * 3 * dim..][..3 * dim];
                    for part in self.projected() {
                        let gradient = &gradients[part * count * dim..][values.clone()];
                        let columns = part * dim..(part + 1) * dim;
                        sum += product(gradient, &outputs[columns.clone()]);
                        sum -= product(gradient, &layer.query_key_value.bias[columns]);
                    }
                }
                // SAFETY: each task takes its own tokens.
                let relevance = unsafe { relevance.part(token..token + 1) };
                relevance[0] = sum as f32;
            }
        });
    }

    /// Which of queries (0), keys (1) and values (2) have gradients.
    fn projected(self) -> Range<usize> {
        if self.rules.attention == AttentionRule::HoldWeights { 2..3 } else { 0..3 }
    }

    /// Gradients of logits → those of `first_tokens`. The gates say how much comes back through each unit.
    fn head(
        self,
        scratch: &mut Scratch<W>,
        (logit_gradients, gates): (&[f32], &[f32]),
        sums: &mut Sums,
    ) {
        let Scratch { first_tokens, first_queries: pooled, linear, .. } = scratch;
        let head = &self.pass.model.head;
        let dim = self.pass.model.config.dim;
        self.linear(
            &self.transposed.classifier,
            Epilogue::Bias,
            linear,
            logit_gradients,
            first_tokens,
        );
        for ((gradient, gate), pooled) in first_tokens.iter().zip(gates).zip(pooled.iter_mut()) {
            *pooled = gradient * gate;
        }
        self.linear(&self.transposed.pre_classifier, Epilogue::Bias, linear, pooled, first_tokens);
        let logits = logit_gradients.chunks_exact(head.outputs);
        for ((shares, logits), pooled) in
            sums.rows.iter_mut().zip(logits).zip(pooled.chunks_exact(dim))
        {
            shares.bias += product(logits, &head.classifier.bias);
            shares.bias += product(pooled, &head.pre_classifier.bias);
        }
    }

    /// `hidden` → `hidden` and the gradients of queries, keys and values, for every token. Where the last
    /// layer has spread `hidden`, and all that differs between tokens from there on is one over their
    /// deviation, the spreads' vectors go through the first product on the way.
    fn layer(
        self,
        back: &mut LayerBack<'_, W>,
        is_spread: bool,
        scratch: &mut Scratch<W>,
        attention: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Scratch { hidden, query_key_value, context, inner, linear, sequences, .. } = scratch;
        self.feed_forward_norm(back, hidden, &mut sums.tokens);
        if is_spread {
            self.spread_feed_forward_out(back, linear, attention, sequences, inner);
        } else {
            self.feed_forward_out(back, linear, hidden, inner);
        }
        self.feed_forward_in(back, linear, inner, hidden, &mut sums.tokens);
        let LayerBack { layer, transposed, kept } = back;
        self.linear(&transposed.attention_output, Epilogue::Bias, linear, hidden, context);
        let (query, key_value) = query_key_value.split_at_mut(hidden.len());
        let (key, value) = key_value.split_at_mut(hidden.len());
        let Pass { isa, team, model } = self.pass;
        let (threads, shares) = (&mut attention.threads, &mut sums.heads);
        let bias = &layer.query_key_value.bias;
        if self.rules.attention == AttentionRule::HoldWeights {
            HeldAttentionBackward {
                heads: model.config.n_heads,
                head_size: model.config.head_size(),
                sequences,
                weights: &kept.weights,
                context_gradient: context,
                bias: &bias[2 * model.config.dim..],
            }
            .run(isa, team, threads, value, shares);
        } else {
            AttentionBackward {
                attention: self.attention(kept, sequences, Queries::AllTokens),
                rule: self.rules.attention,
                context_gradient: context,
                bias,
            }
            .run(isa, team, threads, Gradients { query, key, value }, shares);
        }
    }

    /// Adds what queries, keys and values have to say to `hidden`.
    fn projections(self, transposed: &TransposedLayer<W>, scratch: &mut Scratch<W>) {
        let Scratch { hidden, query_key_value, linear, .. } = scratch;
        let len = hidden.len();
        for part in self.projected() {
            let gradients = &query_key_value[part * len..(part + 1) * len];
            let transposed = &transposed.query_key_value[part];
            self.linear(transposed, Epilogue::BiasResidual, linear, gradients, hidden);
        }
    }

    /// `first_tokens` → `hidden`: only first tokens have a gradient up to attention, and the others but
    /// their share of those of keys and values.
    fn last_layer(
        self,
        back: &mut LayerBack<'_, W>,
        scratch: &mut Scratch<W>,
        attention: &mut AttentionMemory,
        sums: &mut Sums,
    ) {
        let Scratch {
            hidden,
            context,
            inner,
            linear,
            sequences,
            first_tokens,
            first_queries: query,
            ..
        } = scratch;
        let dim = self.pass.model.config.dim;
        let inner = &mut inner[..sequences.len() * inner_stride(self.pass.model.config.hidden_dim)];
        self.feed_forward_norm(back, first_tokens, &mut sums.rows);
        self.feed_forward_out(back, linear, first_tokens, inner);
        self.feed_forward_in(back, linear, inner, first_tokens, &mut sums.rows);
        let LayerBack { layer, transposed, kept } = back;
        let context = &mut context[..first_tokens.len()];
        self.linear(&transposed.attention_output, Epilogue::Bias, linear, first_tokens, context);
        let AttentionMemory { threads, spreads, vectors, .. } = attention;
        let Pass { isa, team, .. } = self.pass;
        let [value, key] = spreads;
        FirstTokensBackward {
            attention: self.attention(kept, sequences, Queries::FirstTokens),
            rule: self.rules.attention,
            context_gradient: context,
            bias: &layer.query_key_value.bias,
        }
        .run(isa, team, threads, query, [key, value], &mut sums.heads);
        let [query_back, key_back, value_back] = &transposed.query_key_value;
        if self.rules.attention != AttentionRule::HoldWeights {
            self.linear(query_back, Epilogue::BiasResidual, linear, query, first_tokens);
        }
        let spreads = self.spreads(spreads);
        let len = spreads[0].vectors.len();
        vectors.resize(spreads.len() * len + first_tokens.len());
        let (of_spreads, own) = vectors.split_at_mut(spreads.len() * len);
        let each = spreads.iter().zip([value_back, key_back]);
        for ((spread, back), to) in each.zip(of_spreads.chunks_exact_mut(len)) {
            self.linear(back, Epilogue::Bias, linear, &spread.vectors, to);
        }
        own.copy_from_slice(first_tokens);
        SpreadOut {
            spreads,
            heads: self.pass.model.config.n_heads,
            sequences,
            vectors,
            factors: None,
            times_held: false,
        }
        .run(isa, team, hidden, dim);
    }

    /// Those that the rules give gradients.
    fn spreads(self, spreads: &[Spread; 2]) -> &[Spread] {
        &spreads[..if self.rules.attention == AttentionRule::HoldWeights { 1 } else { 2 }]
    }

    /// Attention as the forward pass had it.
    fn attention<'b>(
        self,
        kept: &'b LayerTrace,
        sequences: &'b [Range<usize>],
        queries: Queries,
    ) -> Attention<'b> {
        let config = &self.pass.model.config;
        let dim = config.dim;
        Attention {
            heads: config.n_heads,
            head_size: config.head_size(),
            sequences,
            queries,
            query: match queries {
                Queries::AllTokens => rows(&kept.query_key_value, 3 * dim),
                Queries::FirstTokens => rows(&kept.first_queries, dim),
            },
            key: rows(&kept.query_key_value[dim..], 3 * dim),
            value: rows(&kept.query_key_value[2 * dim..], 3 * dim),
        }
    }

    /// Back through the normalisation at the end of a layer, in place.
    fn feed_forward_norm(
        self,
        LayerBack { layer, kept, .. }: &LayerBack<'_, W>,
        states: &mut [f32],
        shares: &mut [Shares],
    ) {
        NormBackward {
            norm: &layer.feed_forward_norm,
            rule: self.rules.layer_norm,
            kept: &kept.feed_forward_norm,
            bias: &layer.feed_forward_out.bias,
        }
        .run(self.pass.isa, self.pass.team, states, shares);
    }

    /// Back through the second feed-forward layer: `states` → `inner`. If the activation's quotient is held, it
    /// is multiplied with what comes of it, in place.
    fn feed_forward_out(
        self,
        LayerBack { transposed, kept, .. }: &mut LayerBack<'_, W>,
        linear: &mut LinearScratch<W>,
        states: &[f32],
        inner: &mut [f32],
    ) {
        let Config { dim, hidden_dim, .. } = self.pass.model.config;
        let (inner, epilogue) = match self.rules.activation {
            ActivationRule::Gradient => (inner, Epilogue::Bias),
            ActivationRule::HoldQuotient => (&mut *kept.inner, Epilogue::BiasTimes),
        };
        Product {
            input: rows(states, dim),
            linear: &transposed.feed_forward_out,
            outputs: 0..hidden_dim,
            epilogue,
        }
        .run(self.pass.isa, self.pass.team, linear, inner, inner_stride(hidden_dim));
    }

    /// The same from what the last layer has spread, normalisation included.
    fn spread_feed_forward_out(
        self,
        LayerBack { layer, transposed, kept }: &mut LayerBack<'_, W>,
        linear: &mut LinearScratch<W>,
        attention: &mut AttentionMemory,
        sequences: &[Range<usize>],
        inner: &mut [f32],
    ) {
        let Pass { isa, team, model } = self.pass;
        let Config { dim, hidden_dim, n_heads, .. } = model.config;
        let AttentionMemory { spreads, vectors, inner_vectors, .. } = attention;
        undivided(isa, &layer.feed_forward_norm, vectors);
        inner_vectors.resize(vectors.len() / dim * hidden_dim);
        let back = &transposed.feed_forward_out;
        self.linear(back, Epilogue::Bias, linear, vectors, inner_vectors);
        let times_held = self.rules.activation == ActivationRule::HoldQuotient;
        SpreadOut {
            spreads: self.spreads(spreads),
            heads: n_heads,
            sequences,
            vectors: inner_vectors,
            factors: Some(&kept.feed_forward_norm),
            times_held,
        }
        .run(
            isa,
            team,
            if times_held { &mut kept.inner } else { inner },
            inner_stride(hidden_dim),
        );
    }

    /// Back through the rest after attention: `inner` and `states` → `states`, the gradients of the sum of
    /// attention's output and the layer's input.
    fn feed_forward_in(
        self,
        LayerBack { layer, transposed, kept }: &LayerBack<'_, W>,
        linear: &mut LinearScratch<W>,
        inner: &mut [f32],
        states: &mut [f32],
        shares: &mut [Shares],
    ) {
        let Pass { isa, team, model } = self.pass;
        let config = &model.config;
        let stride = inner_stride(config.hidden_dim);
        let bias = &layer.feed_forward_in.bias;
        let inner: &[f32] = match self.rules.activation {
            ActivationRule::Gradient => {
                let activation = config.activation;
                ActivationBackward { activation, kept: &kept.inner, stride, bias }
                    .run(isa, team, inner, shares);
                &*inner
            }
            ActivationRule::HoldQuotient => {
                add_bias_shares(isa, team, (&kept.inner, stride), bias, shares);
                &kept.inner
            }
        };
        Product {
            input: rows(inner, stride),
            linear: &transposed.feed_forward_in,
            outputs: 0..config.dim,
            epilogue: Epilogue::BiasResidual,
        }
        .run(isa, team, linear, states, config.dim);
        NormBackward {
            norm: &layer.attention_norm,
            rule: self.rules.layer_norm,
            kept: &kept.attention_norm,
            bias: &layer.attention_output.bias,
        }
        .run(isa, team, states, shares);
    }

    /// A product from rows to rows, both without gaps.
    fn linear(
        self,
        linear: &Linear<PackedMatrix<W>>,
        epilogue: Epilogue,
        scratch: &mut LinearScratch<W>,
        input: &[f32],
        output: &mut [f32],
    ) {
        self.pass.linear(linear, epilogue, scratch, input, output);
    }
}

/// The sum of products, in double precision.
fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
