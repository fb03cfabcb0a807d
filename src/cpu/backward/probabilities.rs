//! Attention probabilities for callers to inspect.

use std::ops::Range;

use super::attention::block_probabilities;
use super::saved::SavedActivations;
use crate::cpu::forward::Pass;
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::rows::rows;
use crate::cpu::gemm::weight::Weight;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::attention::{Attention, QUERY_BLOCK, Queries, pack_keys, score_stride};
use crate::cpu::ops::linear::Product;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::{Isa, Kernel};
use crate::cpu::workspace::Workspace;

/// Returns the probabilities of each row of a forward pass, `[layers, heads, tokens, tokens]`. Those of pruned heads are
/// zero.
pub(super) fn of_rows<W: Weight>(
    pass: &mut Pass<'_, W>,
    workspace: &mut Workspace<W>,
    saved: &mut SavedActivations,
) -> Vec<Vec<f32>> {
    let Pass { model, executor, .. } = pass;
    let config = &model.config;
    let (dim, head_size) = (config.dim, config.head_size());
    let (heads, layers) = (config.n_heads, config.n_layers);
    let Workspace { hidden, linear, sequences, .. } = workspace;
    if let (Some(layer), Some(saved)) = (model.layers.last(), saved.layers.last_mut()) {
        // The forward pass has computed only the queries of first tokens, and no keys.
        let width = layer.attention_output.weight.inputs();
        saved.query_key_value.resize(sequences.tokens() * 3 * width);
        Product {
            input: rows(hidden, dim),
            linear: &layer.query_key_value,
            outputs: 0..2 * width,
            epilogue: Epilogue::Bias,
        }
        .multiply(executor, linear, (&mut saved.query_key_value, 3 * width));
    }
    let mut probabilities: Vec<Vec<f32>> =
        sequences.iter().map(|tokens| vec![0.0; layers * heads * tokens.len().pow(2)]).collect();
    let isa = executor.isa;
    for (index, saved) in saved.layers.iter().enumerate() {
        let kept = config.kept_heads(index);
        let width = kept.len() * head_size;
        let part = |start: usize| rows(&saved.query_key_value[start..], 3 * width);
        let attention = Attention {
            heads: kept.len(),
            head_size,
            sequences,
            queries: Queries::AllTokens,
            query: part(0),
            key: part(width),
            value: part(2 * width),
        };
        for (tokens, probabilities) in sequences.iter().zip(&mut probabilities) {
            let size = tokens.len().pow(2);
            let of_layer = &mut probabilities[index * heads * size..(index + 1) * heads * size];
            executor.leader.for_each(Chunks::new(of_layer, size), |head, to| {
                if let Ok(head) = kept.binary_search(&head) {
                    isa.dispatch(Head { attention: &attention, tokens: tokens.clone(), head, to });
                }
            });
        }
    }
    probabilities
}

/// A task: one head of one sequence.
struct Head<'a> {
    attention: &'a Attention<'a>,
    tokens: Range<usize>,
    head: usize,
    to: &'a mut [f32],
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { attention, tokens, head, to } = self;
        let (len, head_size) = (tokens.len(), attention.head_size);
        let columns = head * head_size..(head + 1) * head_size;
        let stride = score_stride(I::PANEL, len);
        let mut keys = AlignedVec::zeroed(len.next_multiple_of(I::PANEL) * head_size);
        let mut block = AlignedVec::<f32>::zeroed(QUERY_BLOCK * stride);
        pack_keys(isa, &mut keys, attention.key, tokens.clone(), columns.clone());
        for first in (0..len).step_by(QUERY_BLOCK) {
            let count = QUERY_BLOCK.min(len - first);
            let rows = tokens.start + first..tokens.start + first + count;
            block_probabilities(isa, attention, &keys, (rows, columns.clone(), len), &mut block);
            let to = to[first * len..].chunks_exact_mut(len);
            for (row, to) in block.chunks_exact(stride).take(count).zip(to) {
                to.copy_from_slice(&row[..len]);
            }
        }
    }
}
