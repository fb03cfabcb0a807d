//! [`SavedActivations`]: values of a forward pass that the backward pass needs.

use crate::attribution::{ActivationRule, AttentionRule, NormRule, Rules};
use crate::cpu::forward::{ChooseBuffers, LayerBuffers};
use crate::cpu::gemm::epilogue::ActivationValue;
use crate::cpu::last_layer::FirstQueries;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::layer_norm::SavedNorm;
use crate::cpu::ops::probabilities::SavedProbabilities;
use crate::cpu::sequences::Sequences;
use crate::cpu::workspace::inner_stride;
use crate::model::config::{Config, LayerShape};

/// Values of a forward pass that the rules need. At DistilBERT's proportions plain gradients need `9 · dim` values for
/// each token and layer; rules that all treat something as constant need `4 · dim` and the attention probabilities.
#[derive(Default)]
pub(super) struct SavedActivations {
    pub layers: Vec<SavedLayer>,
    /// `true` if the backward pass keeps the gradients of the sums before each norm.
    #[cfg(feature = "prune")]
    pub keeps_gradients: bool,
}

/// Saved activations of one layer. In the last layer, rows are those of first tokens.
#[derive(Default)]
pub(super) struct SavedLayer {
    rules: Rules,
    /// `[tokens, 3·width]`, where the width is that of the layer's heads; empty if the backward pass does not read it,
    /// and in the last layer, which computes no keys and values.
    pub query_key_value: AlignedVec,
    /// The last layer's queries.
    pub first_queries: FirstQueries,
    /// `true` if the attention probabilities are saved.
    has_probabilities: bool,
    pub probabilities: SavedProbabilities,
    /// The attention norm's input, `[tokens, dim]`, or one over each token's deviation if that is constant.
    pub attention_norm: AlignedVec,
    /// `[tokens, hidden_dim]` in rows [`inner_stride`] apart: the activation's input, or the quotient of its output and
    /// input if that is constant. The backward pass replaces the quotients with gradients of the input.
    pub inner: AlignedVec,
    /// The feed-forward norm's input, or one over each token's deviation.
    pub feed_forward_norm: AlignedVec,
    /// Gradients of the sums before the feed-forward norm and before the attention norm, if they are kept.
    #[cfg(feature = "prune")]
    pub sum_gradients: Option<[AlignedVec; 2]>,
}

#[cfg(feature = "prune")]
impl SavedLayer {
    /// Keeps gradients of the sums before one of the norms, if they are asked for.
    pub fn keep_gradients(&mut self, is_attention: bool, gradients: &[f32]) {
        if let Some(kept) = &mut self.sum_gradients {
            let kept = &mut kept[usize::from(is_attention)];
            kept.resize(gradients.len());
            kept.copy_from_slice(gradients);
        }
    }
}

impl SavedActivations {
    /// Makes room for the sequences of a sub-batch and for panels of `panel` columns.
    pub fn resize(&mut self, config: &Config, rules: Rules, panel: usize, sequences: &Sequences) {
        let dim = config.dim;
        let tokens = sequences.tokens();
        self.layers.resize_with(config.n_layers, SavedLayer::default);
        let last = config.n_layers.saturating_sub(1);
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let is_constant = rules.attention == AttentionRule::HoldWeights;
            let LayerShape { heads, hidden_dim } = config.layer(index);
            let width = heads * config.head_size();
            let states = if index == last { sequences.len() } else { tokens };
            let norm = if rules.layer_norm == NormRule::HoldDeviation { 1 } else { dim };
            layer.rules = rules;
            #[cfg(feature = "prune")]
            if self.keeps_gradients != layer.sum_gradients.is_some() {
                layer.sum_gradients = self.keeps_gradients.then(Default::default);
            }
            // The backward pass ends at the first layer's values. The last layer has neither keys nor values, and recomputes
            // its probabilities.
            let has_projections = index != last && (!is_constant || index == 0);
            layer.query_key_value.resize(if has_projections { tokens * 3 * width } else { 0 });
            layer.attention_norm.resize(states * norm);
            layer.inner.resize(states * inner_stride(hidden_dim));
            layer.feed_forward_norm.resize(states * norm);
            layer.has_probabilities = is_constant && index != last;
            if layer.has_probabilities {
                layer.probabilities.resize(panel, heads, sequences);
            }
        }
    }
}

impl ChooseBuffers for SavedActivations {
    fn of_layer<'a>(
        &'a mut self,
        index: usize,
        (shared_query_key_value, _): (&'a mut [f32], &'a mut FirstQueries),
    ) -> LayerBuffers<'a> {
        let SavedLayer {
            rules,
            query_key_value,
            first_queries,
            has_probabilities,
            probabilities,
            attention_norm,
            inner,
            feed_forward_norm,
            ..
        } = &mut self.layers[index];
        let norm = |values: &'a mut AlignedVec| match rules.layer_norm {
            NormRule::Gradient => SavedNorm::Inputs(values),
            NormRule::HoldDeviation => SavedNorm::InverseDeviations(values),
        };
        let activation = match rules.activation {
            ActivationRule::Gradient => ActivationValue::Input,
            ActivationRule::HoldQuotient => ActivationValue::Quotient,
        };
        LayerBuffers {
            query_key_value: match query_key_value.is_empty() {
                true => shared_query_key_value,
                false => query_key_value,
            },
            first_queries,
            probabilities: has_probabilities.then_some(probabilities),
            attention_norm: norm(attention_norm),
            activation: Some((activation, inner)),
            feed_forward_norm: norm(feed_forward_norm),
        }
    }
}
