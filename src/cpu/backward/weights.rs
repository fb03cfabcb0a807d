//! The weights of attention, to be looked at.

use std::ops::Range;

use super::attention::block_weights;
use crate::cpu::backward::saved::Trace;
use crate::cpu::forward::Pass;
use crate::cpu::gemm::epilogue::Epilogue;
use crate::cpu::gemm::weight::{Weight, rows};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::memory::scratch::Scratch;
use crate::cpu::ops::attention::{Attention, QUERY_BLOCK, Queries, pack_keys, score_stride};
use crate::cpu::ops::linear::Product;
use crate::cpu::parallel::disjoint::Parts;
use crate::cpu::simd::{Isa, Kernel};

/// The weights in each row of a forward pass, `[layers, heads, tokens, tokens]`.
pub(super) fn of_rows<I: Isa, W: Weight>(
    pass: Pass<'_, I, W>,
    scratch: &mut Scratch<W>,
    trace: &mut Trace,
) -> Vec<Vec<f32>> {
    let config = &pass.model.config;
    let (dim, heads, layers) = (config.dim, config.n_heads, config.n_layers);
    let Scratch { hidden, linear, sequences, .. } = scratch;
    if let (Some(layer), Some(kept)) = (pass.model.layers.last(), trace.layers.last_mut()) {
        // The pass has made queries of the first tokens alone.
        Product {
            input: rows(hidden, dim),
            linear: &layer.query_key_value,
            outputs: 0..dim,
            epilogue: Epilogue::Bias,
        }
        .run(pass.isa, pass.team, linear, &mut kept.query_key_value, 3 * dim);
    }
    let mut weights: Vec<Vec<f32>> =
        sequences.iter().map(|tokens| vec![0.0; layers * heads * tokens.len().pow(2)]).collect();
    for (index, kept) in trace.layers.iter().enumerate() {
        let part = |start: usize| rows(&kept.query_key_value[start..], 3 * dim);
        let attention = Attention {
            heads,
            head_size: config.head_size(),
            sequences,
            queries: Queries::AllTokens,
            query: part(0),
            key: part(dim),
            value: part(2 * dim),
        };
        for (row, weights) in weights.iter_mut().enumerate() {
            let size = sequences[row].len().pow(2);
            let of_layer = &mut weights[index * heads * size..(index + 1) * heads * size];
            let of_layer = Parts::new(of_layer);
            pass.team.for_each(heads, |_, head| {
                // SAFETY: each task takes the weights of its own head.
                let weights = unsafe { of_layer.part(head * size..(head + 1) * size) };
                pass.isa.run(Head {
                    attention: &attention,
                    tokens: sequences[row].clone(),
                    head,
                    weights,
                });
            });
        }
    }
    weights
}

struct Head<'a> {
    attention: &'a Attention<'a>,
    tokens: Range<usize>,
    head: usize,
    weights: &'a mut [f32],
}

impl Kernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { attention, tokens, head, weights } = self;
        let (len, head_size) = (tokens.len(), attention.head_size);
        let columns = head * head_size..(head + 1) * head_size;
        let stride = score_stride::<I>(len);
        let mut keys = AlignedVec::zeroed(len.next_multiple_of(I::PANEL) * head_size);
        let mut block = AlignedVec::<f32>::zeroed(QUERY_BLOCK * stride);
        pack_keys(isa, &mut keys, attention.key, tokens.clone(), columns.clone());
        for first in (0..len).step_by(QUERY_BLOCK) {
            let count = QUERY_BLOCK.min(len - first);
            let rows = tokens.start + first..tokens.start + first + count;
            block_weights(isa, attention, &keys, rows, columns.clone(), len, &mut block);
            let to = weights[first * len..].chunks_exact_mut(len);
            for (row, to) in block.chunks_exact(stride).take(count).zip(to) {
                to.copy_from_slice(&row[..len]);
            }
        }
    }
}
