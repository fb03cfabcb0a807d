//! Backward pass of attention in the last layer, where only first tokens attend and keys and values are absorbed.

use super::attention::AttentionBackwardScratch;
use crate::attribution::{AttentionRule, Shares};
use crate::cpu::executor::Executor;
use crate::cpu::ops::attention::AbsorbedAttention;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::{Chunks, HeadRuns};
use crate::cpu::simd::lanes::dot;
use crate::cpu::simd::{Isa, Kernel};

/// Attention of first tokens over a batch, and the gradient of its output.
pub(super) struct FirstTokensBackward<'a> {
    pub attention: AbsorbedAttention<'a>,
    pub rule: AttentionRule,
    /// `[sequences, dim]`
    pub context_gradient: &'a [f32],
    /// `[sequences · heads, dim]`: `Vᵀ g` of each sequence and head's gradient of the context.
    pub value_vectors: &'a [f32],
    /// Bias of the values.
    pub value_bias: &'a [f32],
}

/// Gradients that [`FirstTokensBackward`] writes.
pub(super) struct FirstTokensGradients<'a> {
    /// Each token's amount of the absorbed queries and of the value vectors, `[heads, tokens]` for each sequence: its
    /// input's gradient is their sum. Without gradients of probabilities, that of queries is not written.
    pub amounts: [&'a mut [f32]; 2],
    /// `[sequences · heads, dim]`: gradients of the absorbed queries, not written without gradients of probabilities.
    pub queries: &'a mut [f32],
    /// One for each sequence and head.
    pub shares: &'a mut [Shares],
}

impl FirstTokensBackward<'_> {
    /// Writes the gradients.
    pub fn backpropagate(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [AttentionBackwardScratch],
        gradients: FirstTokensGradients<'_>,
    ) {
        let AbsorbedAttention { sequences, heads, head_size, inputs, .. } = self.attention;
        let (isa, panel) = (executor.isa, executor.isa.shape().panel);
        let longest = sequences.longest();
        scratch.iter_mut().for_each(|scratch| scratch.resize(panel, longest, head_size));
        let FirstTokensGradients { amounts, queries, shares } = gradients;
        let [key, value] =
            amounts.map(|amounts| HeadRuns::new(amounts, sequences.cu_seqlens(), heads, heads));
        let parts = (Chunks::new(queries, inputs.stride), key, value, Chunks::new(shares, 1));
        executor.leader.for_each_with(scratch, parts, |scratch, task, parts| {
            let (query, key_amounts, value_amounts, share) = parts;
            let head = Head { step: self, task, scratch, query, key_amounts, value_amounts };
            share[0] += isa.dispatch(head);
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a FirstTokensBackward<'a>,
    task: usize,
    scratch: &'a mut AttentionBackwardScratch,
    /// The gradient of the absorbed query.
    query: &'a mut [f32],
    key_amounts: &'a mut [f32],
    value_amounts: &'a mut [f32],
}

impl Kernel for Head<'_> {
    type Output = Shares;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Shares {
        let Self { step, task, scratch, query, key_amounts, value_amounts } = self;
        let &FirstTokensBackward { ref attention, rule, .. } = step;
        let &AbsorbedAttention { heads, head_size, sequences, inputs, queries } = attention;
        let (sequence, column) = (task / heads, task % heads * head_size);
        let (dim, tokens) = (inputs.stride, sequences.tokens_of(sequence));
        let len = tokens.len();
        let factor = if rule == AttentionRule::Share { 0.5 } else { 1.0 };
        let scale = 1.0 / (head_size as f32).sqrt();
        let context = &step.context_gradient[sequence * heads * head_size + column..];
        let of_bias = dot(isa, &context[..head_size], &step.value_bias[column..][..head_size]);

        let (weights, scores) = scratch.rows(I::PANEL, len);
        attention.dots(isa, &queries[task * dim..], tokens.clone(), scores);
        weights[..len].copy_from_slice(&scores[..len]);
        let inverse_sum = exponentials(isa, weights, len, scale);
        let weights = &mut weights[..len];
        let mut total = 0.0;
        for (weight, amount) in weights.iter_mut().zip(value_amounts.iter_mut()) {
            *weight *= inverse_sum;
            *amount = *weight * factor;
            total += *amount;
        }
        let mut shares = Shares::default();
        shares.bias += f64::from(total) * f64::from(of_bias);
        if rule == AttentionRule::HoldWeights {
            return shares;
        }

        // The probabilities' gradients, then the scores'.
        let value_vector = &step.value_vectors[task * dim..];
        attention.dots(isa, value_vector, tokens.clone(), key_amounts);
        let mut sum = 0.0;
        for (gradient, &weight) in key_amounts.iter_mut().zip(&*weights) {
            *gradient = factor * (*gradient + of_bias);
            sum += weight * *gradient;
        }
        let mut of_scores = 0.0;
        for ((amount, &weight), &score) in key_amounts.iter_mut().zip(&*weights).zip(&*scores) {
            *amount = weight * (*amount - sum) * factor * scale;
            of_scores += f64::from(*amount) * f64::from(score);
        }
        attention.sum(isa, tokens, key_amounts, query);
        let (sum, of_scores) = (f64::from(sum), of_scores / f64::from(factor));
        shares.softmax = sum - of_scores;
        // The gradient passes a product's whole relevance to each factor; sharing conserves it.
        if rule == AttentionRule::Gradient {
            shares.attention = -sum - of_scores;
        }
        shares
    }
}
