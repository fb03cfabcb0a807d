//! [`Precision`]: the number format of weights and arithmetic.

use std::fmt;
use std::str::FromStr;

use crate::margin::Margin;
use crate::names::{ParseNameError, impl_serde_as_string, split_parameter};

/// Number format of a model's weights and of its matrix products.
///
/// Layer normalization, including the sums within it, is computed in `f32` in every precision, and so is softmax, though
/// [`Int8`](Self::Int8) may round its results.
///
/// `Display` and `FromStr` use the names `f32`, `f16`, `bf16`, `int8`, `cascade:MARGIN` and `auto`; `cascade` alone has the
/// [default margin](Margin::DEFAULT).
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
    /// Only for CPUs with bf16 instructions: x86-64 with AVX512-BF16 or AMX-BF16, and aarch64 with FEAT_BF16;
    /// [`InstructionSet::supports`](crate::InstructionSet::supports) checks for them. Other CPUs are refused with
    /// [`DeviceError::CpuPrecision`](crate::DeviceError::CpuPrecision); [`F16`](Self::F16) takes as little memory
    /// everywhere. On one CPU, results do not depend on the batch or the threads. The three kinds of instructions add
    /// in different orders and round differently, so their logits differ: usually in the last digit, but by as much as they do
    /// from [`F32`](Self::F32) where a value lies near the midpoint of two bf16 numbers.
    Bf16,
    /// 8-bit weights and embeddings, with one scale per output channel and per embedding.
    ///
    /// The inputs of a linear layer are quantized to 8 bits with one scale and zero point per token, and products are
    /// summed exactly in 32-bit integers. Activation functions and layer normalization are computed in `f32`; on a GPU,
    /// values between them are 16-bit.
    ///
    /// On the CPU, attention within a text of 96 to 512 tokens is computed in 8-bit integers too, in all layers but the
    /// last. Queries and keys have a scale per token and head, values have one per column, and probabilities are
    /// rounded to multiples of 1/255 of the largest. Attention within other texts is computed in `f32`, and on a GPU in
    /// `f16`.
    Int8,
    /// [`Int8`](Self::Int8) for every text, then [`F32`](Self::F32) for those whose
    /// [margin](crate::Prediction::margin) in int8 is smaller than this one: nearly the same labels as f32 at nearly the cost
    /// of int8.
    ///
    /// Labels match those of f32 only statistically: int8 may be wrong by more than any margin, but the larger the
    /// error, the rarer it is. With the default margin, the emotion model in this crate's repository classifies 7% of
    /// texts twice and gives the same label as f32 for more than 99.9%; `distilbert compare` measures both on your data.
    ///
    /// [`Prediction::precision`](crate::Prediction::precision) says which precision produced the answer. Logits are
    /// those of that precision, so they may jump where two texts differ little. Which precision answers depends on the text's own logits
    /// alone, so results do not depend on the batch. For a text split into windows, their average decides whether the text is
    /// classified again as a whole. [Explanations](crate::Classifier::explain) are computed in f32.
    ///
    /// The model is in memory in both precisions, which takes 1.25 times the memory of the f32 weights. It needs a
    /// checkpoint with float weights, a model with labels, and the CPU.
    Cascade {
        /// Margin below which a text is classified in f32 as well.
        margin: Margin,
    },
    /// The precision with the cheapest products among those that are expected to change no more than one label in 200,
    /// compared to [`F32`](Self::F32): [`Bf16`](Self::Bf16) on a CPU with instructions for it, otherwise `F32`;
    /// [`F16`](Self::F16) on a GPU. A checkpoint that is stored in 8 bits is computed in [`Int8`](Self::Int8).
    ///
    /// Int8 changes more labels, so it must be requested by its name.
    /// [`ModelInfo::precision`](crate::ModelInfo::precision) is the precision that was chosen, never `Auto`.
    Auto,
}

impl Precision {
    /// Every kind of precision, the cascade with its default margin.
    pub const ALL: &'static [Self] = &[
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Int8,
        Self::Cascade { margin: Margin::DEFAULT },
        Self::Auto,
    ];

    /// Returns the name without the margin: `f32`, `f16`, `bf16`, `int8`, `cascade` or `auto`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Cascade { .. } => "cascade",
            Self::Auto => "auto",
        }
    }

    /// Returns the precision itself, or that of a cascade's last stage.
    pub(crate) const fn of_last_stage(self) -> Self {
        match self {
            Self::Cascade { .. } => Self::F32,
            other => other,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cascade { margin } => write!(formatter, "cascade:{margin}"),
            _ => formatter.pad(self.name()),
        }
    }
}

impl FromStr for Precision {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let cascade = |margin| Self::Cascade { margin };
        let value = match split_parameter(text) {
            ("f32", None) => Some(Self::F32),
            ("f16", None) => Some(Self::F16),
            ("bf16", None) => Some(Self::Bf16),
            ("auto", None) => Some(Self::Auto),
            ("int8", None) => Some(Self::Int8),
            ("cascade", None) => Some(cascade(Margin::DEFAULT)),
            ("cascade", Some(margin)) => {
                margin.parse().ok().and_then(|margin| Margin::new(margin).ok()).map(cascade)
            }
            _ => None,
        };
        let names = &["f32", "f16", "bf16", "int8", "cascade", "cascade:MARGIN", "auto"];
        value.ok_or_else(|| ParseNameError::new("precision", text, names))
    }
}

impl_serde_as_string!(Precision);
