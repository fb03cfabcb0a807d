//! Backward pass of attention in the last layer, where only first tokens attend.

use super::attention::AttentionBackwardScratch;
use super::spread::Spread;
use crate::attribution::{AttentionRule, Shares};
use crate::cpu::executor::Executor;
use crate::cpu::ops::attention::Attention;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::{Chunks, HeadRuns};
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// Attention of first tokens over a batch, and the gradient of its output.
pub(super) struct FirstTokensBackward<'a> {
    pub attention: Attention<'a>,
    pub rule: AttentionRule,
    /// A row for each sequence.
    pub context_gradient: &'a [f32],
    /// Biases of queries, keys and values, one after the other.
    pub bias: &'a [f32],
}

impl FirstTokensBackward<'_> {
    /// Writes the gradients of values and, unless the rule makes probabilities constant, those of keys and of the query
    /// of each sequence. `shares` has one for each sequence and head.
    pub fn backpropagate(
        &self,
        executor: &mut Executor<'_>,
        scratch: &mut [AttentionBackwardScratch],
        query: &mut [f32],
        [key, value]: [&mut Spread; 2],
        shares: &mut [Shares],
    ) {
        let Attention { sequences, heads, head_size, .. } = self.attention;
        let dim = heads * head_size;
        let (isa, panel) = (executor.isa, executor.isa.shape().panel);
        let longest = sequences.longest();
        scratch.iter_mut().for_each(|scratch| scratch.resize(panel, longest, head_size));
        let [key, value] = [key, value].map(|spread| {
            spread.resize(heads, dim, sequences.len(), sequences.tokens());
            let Spread { vectors, amounts } = spread;
            let amounts = HeadRuns::new(amounts, sequences.cu_seqlens(), heads, heads);
            (Chunks::new(vectors, dim), amounts)
        });
        let parts = (Chunks::new(query, head_size), key, value, Chunks::new(shares, 1));
        executor.leader.for_each_with(scratch, parts, |scratch, task, parts| {
            let (query, key, value, share) = parts;
            share[0] += isa.dispatch(Head { step: self, task, scratch, query, key, value });
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a FirstTokensBackward<'a>,
    task: usize,
    scratch: &'a mut AttentionBackwardScratch,
    /// The gradient of the head's columns of the query.
    query: &'a mut [f32],
    /// The keys' vector, and each token's amount of it.
    key: (&'a mut [f32], &'a mut [f32]),
    /// The values' vector, and each token's amount of it.
    value: (&'a mut [f32], &'a mut [f32]),
}

impl Kernel for Head<'_> {
    type Output = Shares;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Shares {
        let &FirstTokensBackward { ref attention, rule, context_gradient, bias } = self.step;
        let &Attention { heads, head_size, sequences, query, key, value, .. } = attention;
        let (sequence, head) = (self.task / heads, self.task % heads);
        let (dim, column) = (heads * head_size, head * head_size);
        let tokens = sequences.tokens_of(sequence);
        let len = tokens.len();
        let is_constant = rule == AttentionRule::HoldWeights;
        let factor = if rule == AttentionRule::Share { 0.5 } else { 1.0 };
        let scale = 1.0 / (head_size as f32).sqrt();
        let own = column..column + head_size;
        let keys = tokens.clone().map(|token| key.columns(token, own.clone()));
        let values = tokens.map(|token| value.columns(token, own.clone()));
        let [query_bias, key_bias, value_bias] =
            [0, 1, 2].map(|part| &bias[part * dim + column..][..head_size]);
        let context = &context_gradient[sequence * dim + column..][..head_size];
        let query_row = query.columns(sequence, own.clone());
        let Self { query: to_query, .. } = self;
        let (key_vector, key_amounts) = self.key;
        let (value_vector, value_amounts) = self.value;
        let to_key = &mut key_vector[column..][..head_size];
        let to_value = &mut value_vector[column..][..head_size];

        let weights = self.scratch.row(I::PANEL, len);
        for (score, key) in weights.iter_mut().zip(keys.clone()) {
            *score = dot(isa, query_row, key);
        }
        let share = exponentials(isa, weights, len, scale);
        let weights = &mut weights[..len];
        let mut total = 0.0;
        for (weight, amount) in weights.iter_mut().zip(value_amounts.iter_mut()) {
            *weight *= share;
            *amount = *weight * factor;
            total += *amount;
        }
        to_value.copy_from_slice(context);
        let mut shares = Shares::default();
        shares.bias += f64::from(total) * f64::from(dot(isa, context, value_bias));
        if is_constant {
            return shares;
        }

        // The probabilities' gradients, then the scores'.
        let mut sum = 0.0;
        for ((gradient, &weight), value) in key_amounts.iter_mut().zip(&*weights).zip(values) {
            *gradient = factor * dot(isa, context, value);
            sum += weight * *gradient;
        }
        to_query.fill(0.0);
        let mut total = 0.0;
        for ((amount, &weight), key) in key_amounts.iter_mut().zip(&*weights).zip(keys) {
            *amount = weight * (*amount - sum) * factor * scale;
            total += *amount;
            add_scaled(isa, to_query, key, *amount);
        }
        to_key.copy_from_slice(query_row);
        let scores = f64::from(dot(isa, query_row, to_query)) / f64::from(factor);
        let sum = f64::from(sum);
        shares.bias += f64::from(dot(isa, to_query, query_bias));
        shares.bias += f64::from(total) * f64::from(dot(isa, query_row, key_bias));
        shares.softmax = sum - scores;
        // The gradient passes a product's whole relevance to each factor; sharing conserves it.
        if rule == AttentionRule::Gradient {
            shares.attention = -sum - scores;
        }
        shares
    }
}

/// Adds `factor` times `values` to `sums`.
#[inline(always)]
fn add_scaled<I: Isa>(isa: I, sums: &mut [f32], values: &[f32], factor: f32) {
    let factor = isa.splat(factor);
    for at in starts(isa, values.len()) {
        let sum = isa.mul_add(load_at(isa, values, at), factor, load_at(isa, sums, at));
        store_at(isa, sum, sums, at);
    }
}
