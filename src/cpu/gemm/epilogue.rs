//! The last step of a linear layer.

use crate::attribution::ActivationRule;
use crate::cpu::ops::activation::{gelu, gelu_and_quotient, relu};
use crate::cpu::simd::Isa;

/// What happens to a product before it is stored. All add the bias first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Nothing more.
    Bias,
    /// GELU.
    BiasGelu,
    /// ReLU.
    BiasRelu,
    /// Adds what the output held before.
    BiasResidual,
    /// Multiplies by what the output held before.
    BiasTimes,
}

impl Epilogue {
    /// A vector of outputs, given the products with the bias added and what the output held before, and
    /// what the rule keeps of an activation.
    #[inline(always)]
    pub(crate) fn apply<I: Isa>(
        self,
        isa: I,
        keep: Option<ActivationRule>,
        sum: I::F32,
        held: I::F32,
    ) -> (I::F32, I::F32) {
        match (self, keep) {
            (Self::Bias, _) => (sum, sum),
            (Self::BiasResidual, _) => (isa.add(sum, held), sum),
            (Self::BiasTimes, _) => (isa.mul(sum, held), sum),
            (Self::BiasGelu, Some(ActivationRule::HoldQuotient)) => gelu_and_quotient(isa, sum),
            (Self::BiasGelu, _) => (gelu(isa, sum), sum),
            (Self::BiasRelu, Some(ActivationRule::HoldQuotient)) => {
                let quotient = isa.keep_if_less(isa.splat(0.0), sum, isa.splat(1.0));
                (relu(isa, sum), quotient)
            }
            (Self::BiasRelu, _) => (relu(isa, sum), sum),
        }
    }
}
