//! [`Precision`]: the number format of weights and arithmetic.

use crate::names::impl_names;

/// Number format of a model's weights and of its matrix products.
///
/// Layer normalization, including the sums within it, is computed in `f32` in every precision, and so is softmax, though
/// [`Int8`](Self::Int8) may round its results.
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
    /// summed exactly in 32-bit integers. Activation functions and layer normalization are computed in `f32`; on a GPU,
    /// values between them are 16-bit.
    ///
    /// On the CPU, attention within a text of 96 to 512 tokens is computed in 8-bit integers too, in all layers but the
    /// last: queries and keys have a scale per token and head, values one per column, and probabilities are rounded to
    /// multiples of 1/255 of the largest. Attention within other texts is computed in `f32`, and on a GPU in `f16`.
    Int8,
}

impl_names!(Precision, "precision", { F32 => "f32", F16 => "f16", Int8 => "int8" });
