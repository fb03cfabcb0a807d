//! Layer norm.

use super::{on_one_thread, product, slopes, widen};
use crate::attribution::{NormRule, Shares};
use crate::cpu::backward::layer_norm::NormBackward;
use crate::cpu::simd::{SelectedIsa, on_every_isa};
use crate::model::weights::LayerNorm;
use crate::testing::{assert_all_close, random, sizes};

#[derive(Clone)]
struct Norm {
    rule: NormRule,
    norm: LayerNorm,
    rows: usize,
    bias: Vec<f32>,
}

impl Norm {
    fn input(&self) -> Vec<f32> {
        random(1, self.rows * self.norm.weight.len()).iter().map(|x| 3.0 * x + 0.5).collect()
    }

    fn gradient(&self) -> Vec<f32> {
        random(2, self.rows * self.norm.weight.len())
    }

    fn deviation(row: &[f64]) -> (f64, f64) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
        (mean, (variance + 1e-12).sqrt())
    }
}

impl Norm {
    fn backpropagate(&self, isa: SelectedIsa) -> (Vec<f32>, Vec<Shares>) {
        let (input, mut gradient) = (self.input(), self.gradient());
        let mut shares = vec![Shares::default(); self.rows];
        let inverse = |row: &[f32]| (1.0 / Self::deviation(&widen(row)).1) as f32;
        let saved = match self.rule {
            NormRule::Gradient => input,
            NormRule::HoldDeviation => input.chunks(self.norm.weight.len()).map(inverse).collect(),
        };
        let step =
            NormBackward { norm: &self.norm, rule: self.rule, saved: &saved, bias: &self.bias };
        on_one_thread(isa, |executor| step.backpropagate(executor, &mut gradient, &mut shares));
        (gradient, shares)
    }
}

#[test]
fn layer_norm_matches_central_differences() {
    for rule in [NormRule::Gradient, NormRule::HoldDeviation] {
        for dim in sizes([1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 100], [1, 7, 17, 33]) {
            let norm = LayerNorm {
                weight: random(3, dim).iter().map(|x| 1.0 + x).collect(),
                bias: random(4, dim),
                eps: 1e-12,
            };
            // A single value is its own mean, so it normalizes to zero.
            let rows = if dim == 1 { 0 } else { 35 };
            let case = Norm { rule, norm, rows, bias: random(5, dim) };
            let (weight, bias) = (widen(&case.norm.weight), widen(&case.norm.bias));
            let (mut expected, mut shares) = (Vec::new(), Vec::new());
            let input = widen(&case.input());
            let gradients = widen(&case.gradient());
            for (row, gradient) in input.chunks(dim).zip(gradients.chunks(dim)) {
                let constant = (rule == NormRule::HoldDeviation).then(|| Norm::deviation(row).1);
                let normalize = |row: &[f64]| -> Vec<f64> {
                    let (mean, deviation) = Norm::deviation(row);
                    let deviation = constant.unwrap_or(deviation);
                    (0..dim).map(|i| (row[i] - mean) / deviation * weight[i] + bias[i]).collect()
                };
                let back = slopes(row, |row| product(&normalize(row), gradient));
                let own = product(&bias, gradient);
                let lost = product(&normalize(row), gradient) - own - product(row, &back);
                shares.push((own + product(&back, &widen(&case.bias)), lost));
                expected.extend(back);
            }
            on_every_isa(|_, isa| {
                let (found, found_shares) = case.backpropagate(isa);
                assert_all_close(&found, &expected, 2e-5);
                for (found, &(bias, lost)) in found_shares.iter().zip(&shares) {
                    assert!((found.bias - bias).abs() < 1e-4, "{} of {bias}", found.bias);
                    assert!((found.layer_norm - lost).abs() < 1e-4);
                }
            });
        }
    }
}
