//! The model's matrices transposed, by which gradients are backpropagated: `g_x = g_y · W`.
//!
//! A product reads each output's weights side by side, so the backward pass needs a second copy of the layers' weights.
//! The first explanation makes it.

use std::ops::Range;

use crate::cpu::executor::Executor;
use crate::cpu::forward::PackedModel;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::weight::{FloatWeight, Weight};
use crate::model::weights::Linear;

/// A transposed matrix with a bias of zero.
type Back<W> = Linear<PackedMatrix<W>>;

pub(super) struct Transposed<W: Weight> {
    pub layers: Vec<TransposedLayer<W>>,
    /// The last layer's value matrix, of each head: outputs `[heads · dim]`, inputs `[head_size]`.
    pub last_values: Option<PackedMatrix<W>>,
    pub pre_classifier: Back<W>,
    pub classifier: Back<W>,
}

pub(super) struct TransposedLayer<W: Weight> {
    /// Separate matrices for queries, keys and values, since some rules skip queries and keys. The last layer has only
    /// queries.
    pub query_key_value: Vec<Back<W>>,
    pub attention_output: Back<W>,
    pub feed_forward_in: Back<W>,
    pub feed_forward_out: Back<W>,
}

impl<W: FloatWeight> Transposed<W> {
    pub fn new(executor: &mut Executor<'_>, model: &PackedModel<W>) -> Self {
        let mut part = |linear: &Linear<PackedMatrix<W>>, outputs: Range<usize>| {
            let weight = linear.weight.transposed(executor, outputs);
            Linear { bias: vec![0.0; weight.outputs()], weight }
        };
        let mut layers = Vec::new();
        let dim = model.config.dim;
        for (index, layer) in model.layers.iter().enumerate() {
            let width = layer.attention_output.weight.inputs();
            let parts = if index + 1 == model.layers.len() { 1 } else { 3 };
            layers.push(TransposedLayer {
                query_key_value: (0..parts)
                    .map(|part_index| {
                        let outputs = part_index * width..(part_index + 1) * width;
                        part(&layer.query_key_value, outputs)
                    })
                    .collect(),
                attention_output: part(&layer.attention_output, 0..dim),
                feed_forward_in: part(
                    &layer.feed_forward_in,
                    0..layer.feed_forward_in.weight.outputs(),
                ),
                feed_forward_out: part(&layer.feed_forward_out, 0..dim),
            });
        }
        let pre_classifier = part(&model.head.pre_classifier, 0..dim);
        let classifier = part(&model.head.classifier, 0..model.head.outputs);
        let last_values = model.layers.last().map(|last| {
            let weight = &last.query_key_value.weight;
            let width = last.attention_output.weight.inputs();
            let heads = width / model.config.head_size();
            weight.transposed_groups(executor, 2 * width..3 * width, heads)
        });
        Self { layers, last_values, pre_classifier, classifier }
    }
}
