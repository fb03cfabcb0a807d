//! Gradients of the sums before each layer norm, for pruning.

use super::pass::Directions;
use super::{Differentiable, SUB_BATCH_TOKENS, open_gates};
use crate::attribution::{LogitGradient, Rules};
use crate::cpu::gemm::weight::FloatWeight;
use crate::cpu::parallel::team::Leader;
use crate::input::batch::TokenBatch;

/// Gradients of the sums before one of a layer's norms.
pub(crate) struct SumGradients<'a> {
    /// Index of the layer.
    pub layer: usize,
    /// `true` for the sums after attention, `false` for those after the feed-forward network.
    pub is_attention: bool,
    /// A row of `dim` values for each token, or for each sequence in the last layer.
    pub gradients: &'a [f32],
}

/// Function that is called with the gradients of one layer and sub-batch after the other.
pub(crate) type TakeGradients<'a> = &'a mut (dyn FnMut(Leader<'_>, SumGradients<'_>) + Send);

impl<W: FloatWeight> Differentiable<W> {
    /// Backpropagates gradients of the logits, and hands out those of the sums before each norm.
    pub fn sum_gradients(
        &self,
        batch: &TokenBatch,
        gradient: LogitGradient<'_>,
        take: TakeGradients<'_>,
    ) {
        self.transposed();
        let mut relevance = Vec::new();
        self.with_memory(|leader, memory| {
            let mut pass = self.pass(leader);
            memory.saved.keeps_gradients = true;
            for batch in batch.sub_batches(SUB_BATCH_TOKENS) {
                pass.embed(&batch, &mut memory.workspace);
                memory.directions.resize(memory.workspace.hidden.len());
                relevance.resize(batch.tokens.len(), 0.0);
                self.forward(&mut pass, memory, Rules::GRADIENT);
                open_gates(&mut memory.gates);
                let first = batch.rows.start;
                self.backward(
                    &mut pass,
                    memory,
                    (Rules::GRADIENT, Directions::Embeddings),
                    |row, logits, gradients| gradient(first + row, logits, gradients),
                    &mut relevance,
                );
                for (layer, saved) in memory.saved.layers.iter().enumerate() {
                    for (index, gradients) in saved.sum_gradients.iter().flatten().enumerate() {
                        let is_attention = index == 1;
                        let leader = pass.executor.leader.reborrow();
                        take(leader, SumGradients { layer, is_attention, gradients });
                    }
                }
            }
            memory.saved.keeps_gradients = false;
        });
    }
}
