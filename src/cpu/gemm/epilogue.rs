//! [`Epilogue`]: the last step of a linear layer.

use crate::cpu::ops::activation::{gelu, gelu_and_quotient, relu};
use crate::cpu::simd::Isa;

/// Operation on a product before it is stored. All add the bias first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "explain", feature = "kernels")),
    allow(dead_code, reason = "only the backward pass multiplies by the previous output")
)]
pub enum Epilogue {
    /// Adds nothing but the bias.
    Bias,
    /// Applies GELU.
    BiasGelu,
    /// Applies ReLU.
    BiasRelu,
    /// Adds the previous output.
    BiasResidual,
    /// Multiplies by the previous output.
    BiasTimes,
}

/// Value of an activation that is stored for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "explain"),
    allow(dead_code, reason = "only the backward pass reads saved activations")
)]
pub(crate) enum ActivationValue {
    /// The activation's input.
    Input,
    /// The quotient of the activation's output and input.
    Quotient,
}

impl Epilogue {
    /// Returns a vector of outputs, given the products with the bias added and the previous outputs, and the value to
    /// save of an activation.
    #[inline(always)]
    pub(crate) fn apply<I: Isa>(
        self,
        isa: I,
        save: Option<ActivationValue>,
        sum: I::F32,
        previous: I::F32,
    ) -> (I::F32, I::F32) {
        match (self, save) {
            (Self::Bias, _) => (sum, sum),
            (Self::BiasResidual, _) => (isa.add(sum, previous), sum),
            (Self::BiasTimes, _) => (isa.mul(sum, previous), sum),
            (Self::BiasGelu, Some(ActivationValue::Quotient)) => gelu_and_quotient(isa, sum),
            (Self::BiasGelu, _) => (gelu(isa, sum), sum),
            (Self::BiasRelu, Some(ActivationValue::Quotient)) => {
                let quotient = isa.keep_if_less(isa.splat(0.0), sum, isa.splat(1.0));
                (relu(isa, sum), quotient)
            }
            (Self::BiasRelu, _) => (relu(isa, sum), sum),
        }
    }
}
