//! Relevance of tokens: the last step of a backward pass.

use std::ops::Range;

use super::pass::BackwardPass;
use super::saved::SavedActivations;
use crate::cpu::gemm::weight::FloatWeight;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::lanes::dot;
use crate::cpu::simd::{Isa, Kernel};
use crate::cpu::workspace::Workspace;

/// Tokens of one task.
const TASK_TOKENS: usize = 16;

impl<W: FloatWeight> BackwardPass<'_, W> {
    /// Writes the sum of each token's gradient times its direction.
    pub fn relevance(
        &mut self,
        workspace: &Workspace<W>,
        saved: &SavedActivations,
        directions: &[f32],
        relevance: &mut [f32],
    ) {
        let first = self.model.layers.first().zip(saved.layers.first());
        let first = first.filter(|_| self.stops_at_projections());
        let projections = first.map(|(layer, saved)| Projections {
            outputs: &saved.query_key_value,
            gradients: &workspace.query_key_value,
            bias: &layer.query_key_value.bias,
            width: layer.attention_output.weight.inputs(),
            parts: self.projected(),
        });
        let (isa, dim, count) = (self.executor.isa, self.model.config.dim, relevance.len());
        let hidden = &workspace.hidden;
        self.executor.leader.for_each(Chunks::new(relevance, TASK_TOKENS), |task, relevance| {
            isa.dispatch(RelevanceRows {
                hidden,
                directions,
                projections: projections.as_ref(),
                dim,
                count,
                first_token: task * TASK_TOKENS,
                relevance,
            });
        });
    }
}

/// The first layer's queries, keys and values, where gradients stop there.
struct Projections<'a> {
    /// `[tokens, 3·width]`
    outputs: &'a [f32],
    /// `[3, tokens, width]`
    gradients: &'a [f32],
    bias: &'a [f32],
    /// Width of all heads together.
    width: usize,
    /// Indices of those with gradients: 0 for queries, 1 for keys, 2 for values.
    parts: Range<usize>,
}

/// A task: the relevance of some tokens.
struct RelevanceRows<'a> {
    hidden: &'a [f32],
    directions: &'a [f32],
    projections: Option<&'a Projections<'a>>,
    dim: usize,
    /// Tokens of all tasks.
    count: usize,
    first_token: usize,
    relevance: &'a mut [f32],
}

impl Kernel for RelevanceRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { hidden, directions, projections, dim, count, first_token, relevance } = self;
        for (token, relevance) in (first_token..).zip(relevance) {
            let values = token * dim..(token + 1) * dim;
            let mut sum = f64::from(dot(isa, &hidden[values.clone()], &directions[values.clone()]));
            if let Some(Projections { outputs, gradients, bias, width, parts }) = projections {
                let outputs = &outputs[token * 3 * width..][..3 * width];
                for part in parts.clone() {
                    let gradient = &gradients[(part * count + token) * width..][..*width];
                    let columns = part * width..(part + 1) * width;
                    sum += f64::from(dot(isa, gradient, &outputs[columns.clone()]));
                    sum -= f64::from(dot(isa, gradient, &bias[columns]));
                }
            }
            *relevance = sum as f32;
        }
    }
}
