//! Least squares: the change of a linear layer that brings the student's sums nearest to the teacher's.

use super::linalg::{Factor, product};
use super::moments::{Central, Moments};
use crate::cpu::layers::DenseMatrix;
use crate::model::weights::Linear;

/// Ridges to choose from, in units of the mean of the covariance's diagonal.
const RIDGES: [f64; 7] = [1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0];

/// A change of weights and biases.
pub(super) struct Change {
    /// `[inputs, outputs]` by columns, which is `[outputs, inputs]` row by row.
    weights: Vec<f64>,
    biases: Vec<f64>,
}

/// Returns the change that explains most of what the outputs lack. `fit` are the moments of most texts, `held` those of
/// texts that choose the ridge; with the ridge chosen, all are used. `None` for singular statistics.
///
/// The ridge pulls the change toward zero, not the weights.
pub(super) fn refit(mut fit: Moments, held: &Moments) -> Option<Change> {
    let (inputs, outputs) = (fit.inputs, fit.outputs);
    let ridge = choose_ridge(&fit.central(), held, inputs, outputs)?;
    fit.merge(held);
    let moments = fit.central();
    let weights = Factor::new(&moments.inputs, inputs, ridge)?.solve(&moments.cross);
    let explained = weights.chunks_exact(inputs).map(|column| dot(column, &moments.input_means));
    let biases = moments.output_means.iter().zip(explained).map(|(mean, part)| mean - part);
    Some(Change { biases: biases.collect(), weights })
}

/// Returns the ridge whose change leaves the smallest squared error on the rows that are held out.
fn choose_ridge(fit: &Central, held: &Moments, inputs: usize, outputs: usize) -> Option<f64> {
    let held = held.about(fit.input_means.clone(), fit.output_means.clone());
    let mut best: Option<(f64, f64)> = None;
    for ridge in RIDGES {
        let Some(factor) = Factor::new(&fit.inputs, inputs, ridge) else { continue };
        let weights = factor.solve(&fit.cross);
        let explained = product((&held.inputs, inputs), (&weights, inputs));
        debug_assert_eq!(explained.len(), inputs * outputs);
        let error =
            held.output_squares - 2.0 * dot(&weights, &held.cross) + dot(&weights, &explained);
        if error.is_finite() && best.is_none_or(|(least, _)| error < least) {
            best = Some((error, ridge));
        }
    }
    best.map(|(_, ridge)| ridge)
}

impl Change {
    /// Returns the change of a layer whose inputs this change would have corrected.
    pub fn folded_into(&self, linear: &Linear<DenseMatrix>) -> Self {
        let DenseMatrix { inputs, values, .. } = &linear.weight;
        let rows: Vec<f64> = values.iter().map(|&value| value.into()).collect();
        Self {
            weights: product((&self.weights, *inputs), (&rows, *inputs)),
            biases: rows.chunks_exact(*inputs).map(|row| dot(row, &self.biases)).collect(),
        }
    }

    /// Adds the change to a layer, and rounds the result with `round`.
    pub fn apply(&self, linear: &mut Linear<DenseMatrix>, round: impl Fn(f32) -> f32) {
        let add = |values: &mut [f32], changes: &[f64]| {
            for (value, change) in values.iter_mut().zip(changes) {
                *value = round((f64::from(*value) + change) as f32);
            }
        };
        add(&mut linear.weight.values, &self.weights);
        add(&mut linear.bias, &self.biases);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Rows, Threads};
    use crate::testing::random;

    const INPUTS: usize = 9;
    const OUTPUTS: usize = 3;

    fn moments(x: &[f32], r: &[f32]) -> Moments {
        let mut moments = Moments::new(INPUTS, OUTPUTS);
        let count = x.len() / INPUTS;
        let inputs = Rows { values: x, stride: INPUTS, count };
        let outputs = Rows { values: r, stride: OUTPUTS, count };
        Threads::CALLER.run(|leader| moments.add(leader, inputs, outputs));
        moments
    }

    /// Returns rows of inputs, and what a linear layer makes of them, plus noise.
    fn case(seed: u64, rows: usize, noise: f32) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let weight = random(9, OUTPUTS * INPUTS);
        let x = random(seed, rows * INPUTS);
        let noises = random(seed + 1, rows * OUTPUTS);
        let outputs = x.chunks_exact(INPUTS).zip(noises.chunks_exact(OUTPUTS));
        let r = outputs.flat_map(|(x, noises)| {
            let outputs = weight.chunks_exact(INPUTS).zip(noises).enumerate();
            outputs.map(|(index, (weight, error))| {
                let sum: f32 = x.iter().zip(weight).map(|(x, weight)| x * weight).sum();
                sum + index as f32 + noise * error
            })
        });
        (weight.clone(), x.clone(), r.collect())
    }

    fn layer() -> Linear<DenseMatrix> {
        let values = vec![0.0; OUTPUTS * INPUTS];
        let weight = DenseMatrix { outputs: OUTPUTS, inputs: INPUTS, values };
        Linear { weight, bias: vec![0.0; OUTPUTS] }
    }

    #[test]
    fn finds_the_layer_that_made_the_outputs() {
        let (weight, x, r) = case(1, 400, 0.0);
        let (_, held_x, held_r) = case(5, 50, 0.0);
        let change = refit(moments(&x, &r), &moments(&held_x, &held_r)).unwrap();
        let mut found = layer();
        change.apply(&mut found, |value| value);
        for (found, expected) in found.weight.values.iter().zip(&weight) {
            assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
        for (index, bias) in found.bias.iter().enumerate() {
            assert!((bias - index as f32).abs() < 1e-3, "{bias}");
        }
    }

    #[test]
    fn folded_change_equals_corrected_inputs() {
        let values = |seed, len| random(seed, len).iter().map(|&value| value.into()).collect();
        let change = Change { weights: values(1, INPUTS * INPUTS), biases: values(2, INPUTS) };
        let (values, x) = (random(3, OUTPUTS * INPUTS), random(4, INPUTS));
        let weight = DenseMatrix { outputs: OUTPUTS, inputs: INPUTS, values };
        let mut linear = Linear { weight, bias: random(5, OUTPUTS) };
        let outputs = |linear: &Linear<DenseMatrix>, x: &[f64]| -> Vec<f64> {
            let rows = linear.weight.values.chunks_exact(INPUTS).zip(&linear.bias);
            let output = |(row, bias): (&[f32], &f32)| {
                row.iter().zip(x).map(|(a, b)| f64::from(*a) * b).sum::<f64>() + f64::from(*bias)
            };
            rows.map(output).collect()
        };
        let x: Vec<f64> = x.iter().map(|&value| value.into()).collect();
        let rows = change.weights.chunks_exact(INPUTS).zip(&change.biases).zip(&x);
        let corrected: Vec<f64> =
            rows.map(|((row, bias), own)| own + bias + dot(row, &x)).collect();
        let expected = outputs(&linear, &corrected);
        change.folded_into(&linear).apply(&mut linear, |value| value);
        for (found, expected) in outputs(&linear, &x).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn noise_asks_for_a_larger_ridge() {
        let (_, x, r) = case(1, 12, 3.0);
        let (_, held_x, held_r) = case(5, 50, 3.0);
        let held = moments(&held_x, &held_r);
        let ridge = choose_ridge(&moments(&x, &r).central(), &held, INPUTS, OUTPUTS).unwrap();
        assert!(ridge > RIDGES[0], "{ridge}");
    }

    #[test]
    fn constant_inputs_are_singular() {
        let x = vec![0.5; 40 * INPUTS];
        let r = random(3, 40 * OUTPUTS);
        assert!(refit(moments(&x, &r), &moments(&x, &r)).is_none());
    }
}
