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
    pub pre_classifier: Back<W>,
    pub classifier: Back<W>,
}

pub(super) struct TransposedLayer<W: Weight> {
    /// Queries, keys and values apart, since some rules skip queries and keys.
    pub query_key_value: [Back<W>; 3],
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
        for layer in &model.layers {
            let width = layer.attention_output.weight.inputs();
            layers.push(TransposedLayer {
                query_key_value: [0, 1, 2]
                    .map(|index| part(&layer.query_key_value, index * width..(index + 1) * width)),
                attention_output: part(&layer.attention_output, 0..dim),
                feed_forward_in: part(
                    &layer.feed_forward_in,
                    0..layer.feed_forward_in.weight.outputs(),
                ),
                feed_forward_out: part(&layer.feed_forward_out, 0..dim),
            });
        }
        Self {
            layers,
            pre_classifier: part(&model.head.pre_classifier, 0..dim),
            classifier: part(&model.head.classifier, 0..model.head.outputs),
        }
    }
}
