//! The types in which weights are held.

use std::fmt;

use half::f16;

use super::aligned::Plain;
use super::isa::{Isa, MAX_WEIGHT_BLOCK};

/// How the weights of the linear layers are held. The arithmetic is `f32` for all, and so are
/// embeddings and norms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit weights.
    #[default]
    F32,
    /// 16-bit weights, widened as they are read: half the memory. A checkpoint that is stored as F16
    /// gives the same bits as with [`F32`](Self::F32).
    F16,
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

/// A type of packed weights. The arithmetic is `f32` for all.
pub(crate) trait Weight: Plain + Default + Send + Sync + 'static {
    /// Where a thread widens weights, if they need it.
    type Buffer: Default + Send;

    /// The nearest weight of this type; infinite if it is out of range.
    fn from_f32(value: f32) -> Self;

    /// The first of some finite values that this type cannot express.
    fn out_of_range(values: &[f32]) -> Option<usize>;

    #[cfg(test)]
    fn to_f32(self) -> f32;

    /// The weights as `f32`: themselves, or widened into the buffer. There are at most
    /// [`MAX_WEIGHT_BLOCK`].
    fn widen<'a, I: Isa>(isa: I, weights: &'a [Self], buffer: &'a mut Self::Buffer) -> &'a [f32];
}

impl Weight for f32 {
    type Buffer = ();

    fn from_f32(value: f32) -> Self {
        value
    }

    fn out_of_range(_: &[f32]) -> Option<usize> {
        None
    }

    #[cfg(test)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn widen<'a, I: Isa>(_: I, weights: &'a [f32], (): &'a mut ()) -> &'a [f32] {
        weights
    }
}

/// Room for one block of a panel, which stays in L1 while the rows pass by.
#[repr(align(64))]
pub(crate) struct WidenedBlock([f32; MAX_WEIGHT_BLOCK]);

impl Default for WidenedBlock {
    fn default() -> Self {
        Self([0.0; MAX_WEIGHT_BLOCK])
    }
}

impl Weight for f16 {
    type Buffer = WidenedBlock;

    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn out_of_range(values: &[f32]) -> Option<usize> {
        values.iter().position(|&value| Self::from_f32(value).is_infinite())
    }

    #[cfg(test)]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn widen<'a, I: Isa>(isa: I, weights: &'a [f16], buffer: &'a mut WidenedBlock) -> &'a [f32] {
        let widened = &mut buffer.0[..weights.len()];
        isa.widen(weights, widened);
        widened
    }
}
