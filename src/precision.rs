//! [`Precision`]: the number format of weights and arithmetic.

use crate::names::impl_names;

/// Number format of a model's weights and of its matrix products.
///
/// Softmax and layer normalization, including the sums within them, are computed in `f32` in every precision.
///
/// ```
/// use distilbert::Precision;
///
/// assert_eq!("int8".parse(), Ok(Precision::Int8));
/// assert_eq!(Precision::F16.to_string(), "f16");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit weights and arithmetic.
    #[default]
    F32,
    /// 16-bit weights in the linear layers, using half the memory of [`F32`](Self::F32).
    ///
    /// On the CPU, weights are widened as they are read and the arithmetic is `f32`; a checkpoint stored as F16 gives
    /// the same bits as with [`F32`](Self::F32). On a GPU, embeddings and activations between layers are 16-bit too,
    /// and products are summed in `f32`.
    F16,
    /// 8-bit weights and embeddings, with one scale per output channel and per embedding.
    ///
    /// The inputs of a linear layer are quantized to 8 bits with one scale and zero point per token, and products are
    /// summed exactly in 32-bit integers. Attention, activation functions and layer normalization are computed in
    /// `f32`; on a GPU, values between them are 16-bit.
    Int8,
}

impl_names!(Precision, "precision", { F32 => "f32", F16 => "f16", Int8 => "int8" });
