//! Back through the attention of the last layer, where only first tokens ask.

use super::attention::AttentionBackwardScratch;
use super::spread::Spread;
use crate::attribution::{AttentionRule, Shares};
use crate::cpu::ops::attention::Attention;
use crate::cpu::ops::softmax::exponentials;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::lanes::{dot, load_at, starts, store_at};
use crate::cpu::simd::{Isa, Kernel};

/// The attention of first tokens over a batch, and the gradient of what it made.
pub(super) struct FirstTokensBackward<'a> {
    pub attention: Attention<'a>,
    pub rule: AttentionRule,
    /// A row for each sequence.
    pub context_gradient: &'a [f32],
    /// Of queries, keys and values, one after the other.
    pub bias: &'a [f32],
}

impl FirstTokensBackward<'_> {
    /// The gradients of queries, one for each sequence, and of keys are written unless the rule holds the
    /// weights. `shares` has one for each sequence and head.
    pub fn run<I: Isa>(
        &self,
        isa: I,
        team: &Team,
        scratch: &mut [AttentionBackwardScratch],
        query: &mut [f32],
        [key, value]: [&mut Spread; 2],
        shares: &mut [Shares],
    ) {
        let Attention { sequences, heads, head_size, .. } = self.attention;
        let dim = heads * head_size;
        let tokens = sequences.last().map_or(0, |last| last.end);
        key.resize(heads, dim, sequences.len(), tokens);
        value.resize(heads, dim, sequences.len(), tokens);
        let longest = sequences.iter().map(std::ops::Range::len).max().unwrap_or(0);
        scratch.iter_mut().for_each(|scratch| scratch.resize::<I>(longest, head_size));
        let (scratch, shares, query) = (Parts::new(scratch), Parts::new(shares), Parts::new(query));
        let [key, value] =
            [key, value].map(|it| (Parts::new(&mut it.vectors), Parts::new(&mut it.amounts)));
        team.for_each(sequences.len() * heads, |worker, task| {
            let (sequence, head) = (task / heads, task % heads);
            let tokens = sequences[sequence].clone();
            let of_dim = sequence * dim + head * head_size..sequence * dim + (head + 1) * head_size;
            let of_vector = task * dim + head * head_size..task * dim + (head + 1) * head_size;
            let first = tokens.start * heads + head * tokens.len();
            let amounts = first..first + tokens.len();
            // SAFETY: a worker has one task at a time, and each task is its own sequence and head, of which
            // these are the parts.
            unsafe {
                let ([scratch], [share]) =
                    (scratch.part(worker..worker + 1), shares.part(task..task + 1))
                else {
                    unreachable!()
                };
                *share += isa.run(Head {
                    step: self,
                    sequence,
                    head,
                    weights: scratch.row::<I>(tokens.len()),
                    query: query.part(of_dim),
                    key: key.0.part(of_vector.clone()),
                    value: value.0.part(of_vector),
                    key_amounts: key.1.part(amounts.clone()),
                    value_amounts: value.1.part(amounts),
                });
            }
        });
    }
}

/// A task: one head of one sequence.
struct Head<'a> {
    step: &'a FirstTokensBackward<'a>,
    sequence: usize,
    head: usize,
    /// Room for a row of scores.
    weights: &'a mut [f32],
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    key_amounts: &'a mut [f32],
    value_amounts: &'a mut [f32],
}

impl Kernel for Head<'_> {
    type Output = Shares;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Shares {
        let &FirstTokensBackward { ref attention, rule, context_gradient, bias } = self.step;
        let &Attention { heads, head_size, sequences, ref query, ref key, ref value, .. } =
            attention;
        let (dim, column) = (heads * head_size, self.head * head_size);
        let tokens = sequences[self.sequence].clone();
        let len = tokens.len();
        let is_held = rule == AttentionRule::HoldWeights;
        let factor = if rule == AttentionRule::Share { 0.5 } else { 1.0 };
        let scale = 1.0 / (head_size as f32).sqrt();
        let own = |rows: &crate::cpu::gemm::weight::Rows<'_>, row: usize| {
            let start = row * rows.stride + column;
            start..start + head_size
        };
        let [query_bias, key_bias, value_bias] =
            [0, 1, 2].map(|part| &bias[part * dim + column..][..head_size]);
        let context = &context_gradient[self.sequence * dim + column..][..head_size];
        let asks = &query.values[own(query, self.sequence)];

        let weights = self.weights;
        for (score, token) in weights.iter_mut().zip(tokens.clone()) {
            *score = dot(isa, asks, &key.values[own(key, token)]);
        }
        let share = exponentials(isa, weights, len, scale);
        let weights = &mut weights[..len];
        let mut total = 0.0;
        for (weight, amount) in weights.iter_mut().zip(&mut *self.value_amounts) {
            *weight *= share;
            *amount = *weight * factor;
            total += *amount;
        }
        self.value.copy_from_slice(context);
        let mut shares = Shares::default();
        shares.bias += f64::from(total) * f64::from(dot(isa, context, value_bias));
        if is_held {
            return shares;
        }

        // The weights' gradients, then the scores'.
        let mut sum = 0.0;
        for ((gradient, &weight), token) in
            self.key_amounts.iter_mut().zip(&*weights).zip(tokens.clone())
        {
            *gradient = factor * dot(isa, context, &value.values[own(value, token)]);
            sum += weight * *gradient;
        }
        self.query.fill(0.0);
        let mut total = 0.0;
        for ((amount, &weight), token) in
            self.key_amounts.iter_mut().zip(&*weights).zip(tokens.clone())
        {
            *amount = weight * (*amount - sum) * factor * scale;
            total += *amount;
            let (key, by) = (&key.values[own(key, token)], isa.splat(*amount));
            for at in starts(isa, head_size) {
                let to = isa.mul_add(load_at(isa, key, at), by, load_at(isa, self.query, at));
                store_at(isa, to, self.query, at);
            }
        }
        self.key.copy_from_slice(asks);
        let scores = f64::from(dot(isa, asks, self.query)) / f64::from(factor);
        let sum = f64::from(sum);
        shares.bias += f64::from(dot(isa, self.query, query_bias));
        shares.bias += f64::from(total) * f64::from(dot(isa, asks, key_bias));
        shares.softmax = sum - scores;
        // A product gives its whole relevance to each factor; shared out, it comes out even.
        if rule == AttentionRule::Gradient {
            shares.attention = -sum - scores;
        }
        shares
    }
}
