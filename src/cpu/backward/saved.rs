//! What a forward pass keeps for the way back.

use std::ops::Range;

use crate::attribution::{AttentionRule, NormRule, Rules};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::probabilities::KeptWeights;
use crate::cpu::simd::Isa;
use crate::model::config::Config;

/// The values of a forward pass that the rules need for the way back. At DistilBERT's proportions they are
/// 9 values of `dim` for each token and layer for the gradient itself; where all is held, 4 and the weights of
/// attention.
#[derive(Default)]
pub(crate) struct Trace {
    pub layers: Vec<LayerTrace>,
}

/// Of one layer. In the last layer, rows are those of first tokens but for keys and values.
#[derive(Default)]
pub(crate) struct LayerTrace {
    /// What the rest depends on.
    pub rules: Rules,
    /// `[tokens, 3·dim]`; empty where nothing will ask for it.
    pub query_key_value: AlignedVec,
    /// `[rows, dim]`: the last layer's queries; its columns of `query_key_value` are left alone.
    pub first_queries: AlignedVec,
    /// The weights of attention, if they are held; empty in the last layer.
    pub weights: KeptWeights,
    /// What is normalized after attention, `[tokens, dim]`, or for each token one over the deviation, if
    /// that is held.
    pub attention_norm: AlignedVec,
    /// `[tokens, hidden_dim]` and a gap: what the activation gets, or the quotient of what it makes and
    /// gets, if that is held. On the way back, the quotients become the gradients of what it gets.
    pub inner: AlignedVec,
    /// As after attention, at the end.
    pub feed_forward_norm: AlignedVec,
}

impl Trace {
    /// Makes room for some sequences together.
    pub fn resize<I: Isa>(
        &mut self,
        config: &Config,
        rules: Rules,
        inner_stride: usize,
        sequences: &[Range<usize>],
    ) {
        let dim = config.dim;
        let tokens = sequences.last().map_or(0, |last| last.end);
        self.layers.resize_with(config.n_layers, LayerTrace::default);
        let last = config.n_layers.saturating_sub(1);
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let is_held = rules.attention == AttentionRule::HoldWeights;
            let states = if index == last { sequences.len() } else { tokens };
            let norm = if rules.layer_norm == NormRule::HoldDeviation { 1 } else { dim };
            layer.rules = rules;
            // The way back ends at the first layer's values, and the last one makes its weights again.
            let has_projections = !is_held || index == 0 || index == last;
            layer.query_key_value.resize(if has_projections { tokens * 3 * dim } else { 0 });
            layer.attention_norm.resize(states * norm);
            layer.inner.resize(states * inner_stride);
            layer.feed_forward_norm.resize(states * norm);
            if is_held && index != last {
                layer.weights.resize::<I>(config.n_heads, sequences);
            }
        }
        if let Some(last) = self.layers.last_mut() {
            last.first_queries.resize(sequences.len() * dim);
        }
    }
}
