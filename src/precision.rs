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
    /// 16-bit weights in the linear layers, with the exponents of [`F32`](Self::F32) and 8 bits of precision, and
    /// products of such numbers in the linear layers and in attention, summed in `f32`.
    ///
    /// Only for CPUs that multiply bf16: x86-64 with AVX512-BF16 or AMX-BF16, and aarch64 with FEAT_BF16, for which
    /// [`InstructionSet::supports`](crate::InstructionSet::supports) asks. Others are refused with
    /// [`DeviceError::CpuPrecision`](crate::DeviceError::CpuPrecision); [`F16`](Self::F16) takes as little memory
    /// everywhere. On one CPU, results do not depend on the batch or the threads. The three kinds of instructions add in
    /// different orders and round differently, so their logits differ: by a last digit as a rule, and by as much as from
    /// [`F32`](Self::F32) where a value falls between two bf16 numbers.
    Bf16,
    /// 8-bit weights and embeddings, with one scale per output channel and per embedding.
    ///
    /// The inputs of a linear layer are quantized to 8 bits with one scale and zero point per token, and products are
    /// summed exactly in 32-bit integers. Attention, activation functions and layer normalization are computed in
    /// `f32`; on a GPU, values between them are 16-bit.
    Int8,
    /// The fastest precision that is expected to change no more than one label in 200, compared to
    /// [`F32`](Self::F32): [`Bf16`](Self::Bf16) on a CPU that multiplies it, otherwise `F32`;
    /// [`F16`](Self::F16) on a GPU. A checkpoint that is stored in 8 bits is computed in [`Int8`](Self::Int8).
    ///
    /// Int8 is faster still, and changes more labels: request it by its name.
    /// [`ModelInfo::precision`](crate::ModelInfo::precision) is the precision that was chosen, never `Auto`.
    Auto,
}

impl_names!(Precision, "precision", { F32 => "f32", F16 => "f16", Bf16 => "bf16", Int8 => "int8", Auto => "auto" });
