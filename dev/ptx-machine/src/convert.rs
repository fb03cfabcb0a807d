//! Conversions between types.

use half::f16;

use super::arithmetic::{flush, saturate};
use super::types::Type;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convert {
    pub to: Type,
    pub from: Type,
    /// Rounding of a float to an integer or an integral float.
    pub rounding: Option<Rounding>,
    pub flushes: bool,
    pub saturates: bool,
}

/// Rounding to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    TowardZero,
    Down,
    Up,
}

impl Rounding {
    fn round(self, value: f32) -> f32 {
        match self {
            Self::Nearest => value.round_ties_even(),
            Self::TowardZero => value.trunc(),
            Self::Down => value.floor(),
            Self::Up => value.ceil(),
        }
    }
}

impl Convert {
    /// Converts one value, or two values to `f16x2`, the first of which becomes the upper half.
    pub fn evaluate(&self, a: u64, b: u64) -> u64 {
        let Self { to, from, .. } = *self;
        if to == Type::F16X2 {
            return self.float(self.widen(a), Type::F16) << 16
                | self.float(self.widen(b), Type::F16);
        }
        match (from.is_float(), to.is_float()) {
            (true, true) => self.float(self.widen(a), to),
            (true, false) => {
                let value = self.rounded(self.widen(a));
                let (least, greatest) = to.range();
                // The conversion saturates and turns NaN into zero, as the hardware does.
                to.truncate((value as i128).clamp(least, greatest) as u64)
            }
            (false, true) => self.integer_to_float(from.number(a)),
            (false, false) => {
                let (least, greatest) = to.range();
                let value = from.number(a);
                let value = if self.saturates { value.clamp(least, greatest) } else { value };
                to.truncate(value as u64)
            }
        }
    }

    /// Converts to `f32`, which is exact.
    fn widen(&self, value: u64) -> f32 {
        match self.from.bits {
            16 => f32::from(f16::from_bits(value as u16)),
            _ => flush(f32::from_bits(value as u32), self.flushes),
        }
    }

    fn rounded(&self, value: f32) -> f32 {
        self.rounding.map_or(value, |rounding| rounding.round(value))
    }

    fn float(&self, value: f32, to: Type) -> u64 {
        let value = self.rounded(value);
        let value = if self.saturates { saturate(value) } else { value };
        match to.bits {
            16 => u64::from(f16::from_f32(value).to_bits()),
            _ => u64::from(flush(value, self.flushes).to_bits()),
        }
    }

    fn integer_to_float(&self, value: i128) -> u64 {
        // `i128` to `f32` rounds once. Values beyond the range of `f16` become infinite.
        match self.to.bits {
            16 => u64::from(f16::from_f32(round_to_odd(value as f64)).to_bits()),
            _ => u64::from((value as f32).to_bits()),
        }
    }
}

/// Rounds to odd: returns an `f32` that rounds to the same `f16` as the `f64`. Of the two nearest values it is the one with
/// an odd last bit, which is never a tie between two `f16`.
pub fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) == value || !nearest.is_finite() {
        return nearest;
    }
    let toward_zero = if f64::from(nearest).abs() > value.abs() {
        f32::from_bits(nearest.to_bits() - 1)
    } else {
        nearest
    };
    f32::from_bits(toward_zero.to_bits() | 1)
}
