//! Sensitivity of the logits to the sums before each norm: second moments of their gradients.

use super::moments::Moments;
use crate::cpu::layers::LayerRunner;
use crate::cpu::{Rows, SumGradients};
use crate::input::batch::TokenBatch;
use crate::model::config::{Config, ProblemType};
use crate::random::SplitMix64;

/// Second moments of the gradients of one layer's sums, `[dim, dim]`, per text.
pub(super) struct Sensitivity {
    pub attention: Vec<f64>,
    pub feed_forward: Vec<f64>,
}

/// Returns the sensitivity of each layer: the Fisher information of the model's own predictions, for which a label of
/// each text is drawn from its probabilities.
pub(super) fn sensitivities(
    runner: &LayerRunner,
    config: &Config,
    batch: &TokenBatch,
    seed: u64,
) -> Vec<Sensitivity> {
    let dim = config.dim;
    let kind = config.problem_type_for(config.id2label.len());
    let mut moments: Vec<[Moments; 2]> =
        (0..config.n_layers).map(|_| [(); 2].map(|()| Moments::new(dim, 0))).collect();
    let gradient = |row: usize, logits: &[f32], gradient: &mut [f32]| {
        let mut random = SplitMix64::new(seed ^ (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        draw_gradient(kind, logits, gradient, &mut random);
    };
    runner.gradients(batch, &gradient, &mut |leader, found: SumGradients<'_>| {
        let count = found.gradients.len() / dim;
        let nothing = Rows { values: &[][..], stride: 0, count };
        let rows = Rows { values: found.gradients, stride: dim, count };
        moments[found.layer][usize::from(found.is_attention)].add(leader, rows, nothing);
    });
    let per_text = |moments: &Moments| {
        let scale = moments.count() as f64 / batch.rows() as f64;
        let products = moments.about(vec![0.0; dim], Vec::new()).inputs;
        products.into_iter().map(|value| value * scale).collect::<Vec<f64>>()
    };
    let both = |[feed_forward, attention]: &[Moments; 2]| Sensitivity {
        attention: per_text(attention),
        feed_forward: per_text(feed_forward),
    };
    moments.iter().map(both).collect()
}

/// Writes the gradient of the loss for an answer that is drawn from the model's own distribution.
fn draw_gradient(kind: ProblemType, logits: &[f32], gradient: &mut [f32], random: &mut SplitMix64) {
    let uniform = |random: &mut SplitMix64| (random.symmetric() + 1.0) / 2.0;
    match kind {
        ProblemType::SingleLabelClassification => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exponentials = logits.iter().map(|logit| (logit - largest).exp());
            gradient.iter_mut().zip(exponentials).for_each(|(to, value)| *to = value);
            let sum: f32 = gradient.iter().sum();
            gradient.iter_mut().for_each(|value| *value /= sum);
            let mut rest = uniform(random);
            let drawn = gradient.iter().position(|probability| {
                rest -= probability;
                rest < 0.0
            });
            gradient[drawn.unwrap_or(logits.len() - 1)] -= 1.0;
        }
        ProblemType::MultiLabelClassification => {
            for (to, logit) in gradient.iter_mut().zip(logits) {
                let probability = 1.0 / (1.0 + (-logit).exp());
                *to = probability - f32::from(uniform(random) < probability);
            }
        }
        // A normal distribution with any constant deviation: its sign is all that the second moments see.
        ProblemType::Regression => {
            gradient
                .iter_mut()
                .for_each(|to| *to = if random.symmetric() < 0.0 { -1.0 } else { 1.0 });
        }
    }
}
