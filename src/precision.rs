//! [`Precision`]: how weights are held and multiplied.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// How weights are held and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit weights.
    #[default]
    F32,
    /// The linear layers' weights in 16 bits, widened as they are read: half the memory. The
    /// arithmetic is `f32`. A checkpoint that is stored as F16 gives the same bits as with
    /// [`F32`](Self::F32). On a GPU embeddings and what goes from layer to layer are in 16 bits too, and
    /// products are summed in `f32`.
    F16,
    /// Weights and embeddings in 8 bits, with a scale for each output channel and each embedding. The
    /// inputs of a linear layer are rounded to 8 bits, with a scale and a zero point for each token;
    /// products are exact in 32 bits. Attention, activations and normalisation are `f32`, on a GPU with
    /// values of 16 bits between them.
    Int8,
}

impl Precision {
    /// All, the widest first.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// The name, as `--precision` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| Error::Precision { requested: name.to_owned() })
    }
}
