//! The model's matrices transposed, by which gradients go back: `g_x = g_y · W`.
//!
//! A product wants each output's weights side by side, whichever way it goes. That is a second copy of the
//! layers' weights, made by the first explanation.

use std::ops::Range;

use crate::cpu::forward::PackedModel;
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::weight::{FloatWeight, Weight};
use crate::cpu::parallel::team::Team;
use crate::cpu::simd::Isa;
use crate::model::weights::Linear;

/// Without biases: those of zero take the place.
type Back<W> = Linear<PackedMatrix<W>>;

pub(super) struct Transposed<W: Weight> {
    pub layers: Vec<TransposedLayer<W>>,
    pub pre_classifier: Back<W>,
    pub classifier: Back<W>,
}

pub(super) struct TransposedLayer<W: Weight> {
    /// Each by itself: not all are always wanted.
    pub query_key_value: [Back<W>; 3],
    pub attention_output: Back<W>,
    pub feed_forward_in: Back<W>,
    pub feed_forward_out: Back<W>,
}

impl<W: FloatWeight> Transposed<W> {
    pub fn new<I: Isa>(isa: I, team: &Team, model: &PackedModel<W>) -> Self {
        let part = |linear: &Linear<PackedMatrix<W>>, outputs: Range<usize>| {
            let weight = linear.weight.transposed(isa, team, outputs);
            Linear { bias: vec![0.0; weight.outputs()], weight }
        };
        let whole = |linear: &Linear<PackedMatrix<W>>| part(linear, 0..linear.weight.outputs());
        let dim = model.config.dim;
        let layer = |layer: &crate::model::weights::Layer<PackedMatrix<W>>| TransposedLayer {
            query_key_value: [0, 1, 2]
                .map(|index| part(&layer.query_key_value, index * dim..(index + 1) * dim)),
            attention_output: whole(&layer.attention_output),
            feed_forward_in: whole(&layer.feed_forward_in),
            feed_forward_out: whole(&layer.feed_forward_out),
        };
        Self {
            layers: model.layers.iter().map(layer).collect(),
            pre_classifier: whole(&model.head.pre_classifier),
            classifier: whole(&model.head.classifier),
        }
    }
}
