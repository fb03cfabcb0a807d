//! Activations.

use super::{on_one_thread, product, slopes, widen};
use crate::attribution::{ActivationRule, Shares};
use crate::cpu::backward::activation::{ActivationBackward, add_bias_shares};
use crate::cpu::gemm::epilogue::{ActivationValue, Epilogue};
use crate::cpu::gemm::pack::PackedMatrix;
use crate::cpu::gemm::rows::{Rows, rows};
use crate::cpu::ops::linear::{LinearScratch, Product};
use crate::cpu::simd::{SelectedIsa, on_every_isa};
use crate::model::config::Activation;
use crate::model::matrix::Matrix;
use crate::model::weights::Linear;
use crate::testing::{assert_all_close, random, sizes};

#[derive(Clone)]
struct Activated {
    activation: Activation,
    rule: ActivationRule,
    rows: usize,
    width: usize,
}

impl Activated {
    const GAP: usize = 3;

    fn stride(&self) -> usize {
        self.width + Self::GAP
    }

    fn input(&self) -> Vec<f32> {
        random(6, self.rows * self.stride()).iter().map(|x| 4.0 * x).collect()
    }

    fn gradient(&self) -> Vec<f32> {
        random(7, self.rows * self.stride())
    }

    fn bias(&self) -> Vec<f32> {
        random(8, self.width)
    }

    fn without_gaps<T: Copy>(&self, values: &[T]) -> Vec<T> {
        values.chunks(self.stride()).flat_map(|row| &row[..self.width]).copied().collect()
    }
}

impl Activated {
    /// Returns the outputs, the gradients of the inputs, and the shares.
    fn backpropagate(&self, isa: SelectedIsa) -> (Vec<f32>, Vec<f32>, Vec<Shares>) {
        let (input, mut gradient, bias) = (self.input(), self.gradient(), self.bias());
        let mut output = vec![f32::NAN; input.len()];
        let mut saved = output.clone();
        let mut shares = vec![Shares::default(); self.rows];
        let (rule, width, stride) = (self.rule, self.width, self.stride());
        let mut scratch = LinearScratch::default();
        scratch.resize(1);
        on_one_thread(isa, |executor| {
            let identity = (0..width * width).map(|at| f32::from(at % (width + 1) == 0)).collect();
            let identity = Matrix::from_values(width, width, identity);
            let linear = Linear {
                weight: PackedMatrix::<f32>::pack(executor, &identity).unwrap(),
                bias: vec![0.0; width],
            };
            let product = |values, epilogue| Product {
                input: Rows { values, stride, count: self.rows },
                linear: &linear,
                outputs: 0..width,
                epilogue,
            };
            let epilogue = match self.activation {
                Activation::Gelu => Epilogue::BiasGelu,
                Activation::Relu => Epilogue::BiasRelu,
            };
            let value = match rule {
                ActivationRule::Gradient => ActivationValue::Input,
                ActivationRule::HoldQuotient => ActivationValue::Quotient,
            };
            let to_save = Some((value, &mut saved[..]));
            let to = (&mut output[..], stride);
            product(&input, epilogue).multiply_and_save(executor, &mut scratch, to, to_save);
            match rule {
                ActivationRule::Gradient => {
                    let activation = self.activation;
                    ActivationBackward { activation, inputs: &saved, stride, bias: &bias }
                        .backpropagate(executor, &mut gradient, &mut shares);
                }
                ActivationRule::HoldQuotient => {
                    let product = product(&gradient, Epilogue::BiasTimes);
                    product.multiply(executor, &mut scratch, (&mut saved, stride));
                    add_bias_shares(executor, rows(&saved, stride), &bias, &mut shares);
                    gradient = saved;
                }
            }
        });
        (self.without_gaps(&output), self.without_gaps(&gradient), shares)
    }
}

#[test]
fn activations_match_central_differences() {
    fn apply(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Relu => x.max(0.0),
            Activation::Gelu => x / 2.0 * (1.0 + libm::erf(x / 2f64.sqrt())),
        }
    }
    for activation in [Activation::Gelu, Activation::Relu] {
        for rule in [ActivationRule::Gradient, ActivationRule::HoldQuotient] {
            for width in sizes([1, 2, 15, 16, 17, 33, 100], [1, 17, 33]) {
                let case = Activated { activation, rule, rows: 9, width };
                let (input, gradients) = (widen(&case.input()), widen(&case.gradient()));
                let outputs: Vec<f64> = input.iter().map(|&x| apply(activation, x)).collect();
                let (mut expected, mut shares) = (gradients.clone(), Vec::new());
                for row in 0..case.rows {
                    let values = row * case.stride()..row * case.stride() + width;
                    for at in values.clone() {
                        expected[at] *= match rule {
                            ActivationRule::HoldQuotient => outputs[at] / input[at],
                            ActivationRule::Gradient => {
                                slopes(&[input[at]], |x| apply(activation, x[0]))[0]
                            }
                        };
                    }
                    let back = &expected[values.clone()];
                    shares.push((
                        product(back, &widen(&case.bias())),
                        product(&outputs[values.clone()], &gradients[values.clone()])
                            - product(&input[values], back),
                    ));
                }
                let [outputs, expected] =
                    [&outputs, &expected].map(|values| case.without_gaps(values));
                on_every_isa(|_, isa| {
                    let (output, found, found_shares) = case.backpropagate(isa);
                    assert_all_close(&output, &outputs, 2e-6);
                    assert_all_close(&found, &expected, 1e-5);
                    for (found, &(bias, lost)) in found_shares.iter().zip(&shares) {
                        assert!((found.bias - bias).abs() < 1e-4);
                        assert!((found.gelu - lost).abs() < 1e-4, "{} of {lost}", found.gelu);
                    }
                });
            }
        }
    }
}
