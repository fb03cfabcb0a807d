//! Scalar instructions of a single lane. Transcendental functions are computed in float64 and rounded; approximations of the
//! hardware are within their documented error of that.

use half::f16;

use super::convert::{Convert, round_to_odd};
use super::error::Fault;
use super::types::{Kind, Type};

/// Operation of a scalar instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Move(Type),
    Integer(Integer, Type),
    Float(Float, Format),
    Compare(Compare),
    Select(Type),
    Convert(Convert),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integer {
    Add,
    Subtract,
    Multiply(Part),
    MultiplyAdd(Part),
    Divide,
    Remainder,
    Minimum,
    Maximum,
    Negate,
    Absolute,
    And,
    Or,
    Xor,
    Not,
    ShiftLeft,
    ShiftRight,
    FunnelShift {
        is_left: bool,
        clamps: bool,
    },
    ExtractBits,
    InsertBits,
    Permute,
    PopulationCount,
    LeadingZeros,
    /// Dot product of four pairs of 8-bit integers, plus an integer.
    DotProduct {
        a: Type,
        b: Type,
    },
}

/// Part of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Low,
    High,
    /// Full product, twice as wide as the factors.
    Wide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    Add,
    Subtract,
    Multiply,
    FusedMultiplyAdd,
    Divide,
    /// Returns the number if the other operand is NaN, unless NaN propagates.
    Minimum {
        keeps_nan: bool,
    },
    Maximum {
        keeps_nan: bool,
    },
    Negate,
    Absolute,
    /// Magnitude of the second operand with the sign of the first.
    CopySign,
    Reciprocal,
    SquareRoot,
    ReciprocalSquareRoot,
    Exp2,
    Log2,
    Tanh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    F16,
    F16x2,
    F32 {
        /// Flushes subnormal operands and results to zero.
        flushes: bool,
        /// Clamps the result to 0..=1.
        saturates: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compare {
    pub comparison: Comparison,
    pub of: Type,
    pub flushes: bool,
    /// Predicate that the result is combined with, possibly negated.
    pub combined: Option<(Logic, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Unordered comparisons, which are true if either operand is NaN.
    EqualOrNan,
    NotEqualOrNan,
    LessOrNan,
    LessOrEqualOrNan,
    GreaterOrNan,
    GreaterOrEqualOrNan,
    BothNumbers,
    EitherNan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Xor,
}

/// Computes the result in one lane.
pub fn evaluate(scalar: &Scalar, values: [u64; 4]) -> Result<u64, Fault> {
    let [a, b, c, _] = values;
    Ok(match *scalar {
        Scalar::Move(of) => of.truncate(a),
        Scalar::Integer(function, of) => integer(function, of, values)?,
        Scalar::Float(function, format) => float(function, format, [a, b, c]),
        Scalar::Compare(compare) => u64::from(compare.evaluate(a, b, c)),
        Scalar::Select(of) => of.truncate(if c & 1 == 1 { a } else { b }),
        Scalar::Convert(convert) => convert.evaluate(a, b),
    })
}

fn integer(function: Integer, of: Type, values: [u64; 4]) -> Result<u64, Fault> {
    let [a, b, c] = [0, 1, 2].map(|index| of.number(values[index]));
    let nonzero = |b| if b == 0 { Err(Fault::DivisionByZero) } else { Ok(b) };
    // Applies to the product before it is truncated to the width of the result.
    let part = |part| match part {
        Part::Low | Part::Wide => a.wrapping_mul(b),
        // In `u128`, because the largest product of two `u64` overflows `i128`.
        Part::High if of.kind == Kind::Unsigned => ((a as u128 * b as u128) >> of.bits) as i128,
        Part::High => (a * b) >> of.bits,
    };
    let result = match function {
        Integer::Add => a + b,
        Integer::Subtract => a - b,
        Integer::Multiply(Part::Wide) => return Ok(part(Part::Wide) as u64),
        Integer::Multiply(which) => part(which),
        Integer::MultiplyAdd(Part::Wide) => {
            return Ok((part(Part::Wide) as u64).wrapping_add(values[2]));
        }
        Integer::MultiplyAdd(which) => part(which).wrapping_add(c),
        Integer::Divide => a / nonzero(b)?,
        Integer::Remainder => a % nonzero(b)?,
        Integer::Minimum => a.min(b),
        Integer::Maximum => a.max(b),
        Integer::Negate => -a,
        Integer::Absolute => a.abs(),
        Integer::And => a & b,
        Integer::Or => a | b,
        Integer::Xor => a ^ b,
        Integer::Not => !a,
        // Shift counts are 32 bits for every type; counts beyond the width shift everything out.
        Integer::ShiftLeft => a << (values[1] as u32).min(of.bits),
        Integer::ShiftRight => a >> (values[1] as u32).min(of.bits),
        Integer::FunnelShift { is_left, clamps } => {
            let pair = (b as u64) << 32 | a as u64;
            let count = if clamps { c.min(32) } else { c & 31 } as u32;
            i128::from(if is_left {
                (u128::from(pair) << count >> 32) as u64
            } else {
                pair >> count
            })
        }
        Integer::ExtractBits => extract_bits(of, values),
        Integer::InsertBits => {
            let (start, count) = bit_field(of, values[2], values[3]);
            let mask = ((1 << count) - 1) << start;
            b & !mask | a << start & mask
        }
        Integer::Permute => {
            let bytes = ((b as u64) << 32 | a as u64).to_le_bytes();
            let byte = |index: u32| {
                let selector = c >> (4 * index);
                let byte = bytes[(selector & 7) as usize];
                if selector & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 }
            };
            i128::from(u32::from_le_bytes([0, 1, 2, 3].map(byte)))
        }
        Integer::PopulationCount => i128::from(a.count_ones()),
        Integer::LeadingZeros => i128::from((a as u64).leading_zeros() + of.bits - 64),
        Integer::DotProduct { a: a_type, b: b_type } => {
            let product =
                |byte| a_type.number(values[0] >> byte) * b_type.number(values[1] >> byte);
            c + [0, 8, 16, 24].map(product).iter().sum::<i128>()
        }
    };
    Ok(of.truncate(result as u64))
}

/// Returns the start and the length of a bit field, from the low bytes of both operands.
fn bit_field(of: Type, start: u64, count: u64) -> (u32, u32) {
    let start = (start as u32 & 255).min(of.bits);
    (start, (count as u32 & 255).min(of.bits - start))
}

fn extract_bits(of: Type, [a, start, count, _]: [u64; 4]) -> i128 {
    let (wanted, position) = (count as u32 & 255, start as u32 & 255);
    let (start, count) = bit_field(of, start, count);
    let field = i128::from(of.truncate(a)) >> start & ((1 << count) - 1);
    // Last bit of the field, or of the value if the field extends beyond it.
    let sign = (position + wanted).saturating_sub(1).min(of.bits - 1);
    if of.kind == Kind::Signed && wanted > 0 && a >> sign & 1 == 1 {
        field | -1 << count
    } else {
        field
    }
}

fn float(function: Float, format: Format, values: [u64; 3]) -> u64 {
    match format {
        Format::F32 { flushes, saturates } => {
            let argument = |value| flush(f32::from_bits(value as u32), flushes);
            let mut result = flush(single(function, values.map(argument)), flushes);
            if saturates {
                result = saturate(result);
            }
            u64::from(result.to_bits())
        }
        Format::F16 => half(function, values),
        Format::F16x2 => {
            let low = half(function, values);
            low | half(function, values.map(|value| value >> 16)) << 16
        }
    }
}

/// Flushes a subnormal to zero, keeping its sign.
pub fn flush(value: f32, flushes: bool) -> f32 {
    if flushes && value.is_subnormal() { 0.0f32.copysign(value) } else { value }
}

/// Clamps to 0..=1; NaN becomes zero.
pub fn saturate(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

fn single(function: Float, [a, b, c]: [f32; 3]) -> f32 {
    let through_f64 = |function: fn(f64) -> f64| function(f64::from(a)) as f32;
    match function {
        Float::Add => a + b,
        Float::Subtract => a - b,
        Float::Multiply => a * b,
        Float::FusedMultiplyAdd => a.mul_add(b, c),
        Float::Divide => a / b,
        Float::Minimum { keeps_nan } => extreme(a, b, keeps_nan, |order| order.is_lt()),
        Float::Maximum { keeps_nan } => extreme(a, b, keeps_nan, |order| order.is_gt()),
        Float::Negate => -a,
        Float::Absolute => a.abs(),
        Float::CopySign => b.copysign(a),
        Float::Reciprocal => 1.0 / a,
        Float::SquareRoot => a.sqrt(),
        Float::ReciprocalSquareRoot => through_f64(|a| 1.0 / a.sqrt()),
        Float::Exp2 => through_f64(f64::exp2),
        Float::Log2 => through_f64(f64::log2),
        Float::Tanh => through_f64(f64::tanh),
    }
}

/// Returns the smaller or larger operand; negative zero is smaller than positive zero.
fn extreme(a: f32, b: f32, keeps_nan: bool, wanted: fn(std::cmp::Ordering) -> bool) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if wanted(a.total_cmp(&b)) => a,
        (false, false) => b,
        (true, true) => f32::NAN,
        _ if keeps_nan => f32::NAN,
        (true, false) => b,
        (false, true) => a,
    }
}

/// Computes in `f32` and rounds to `f16`. Since `f32` has more than twice the bits of `f16` plus two, double rounding of a
/// sum, product, quotient or square root equals single rounding.
fn half(function: Float, values: [u64; 3]) -> u64 {
    let [a, b, c] = values.map(|value| f32::from(f16::from_bits(value as u16)));
    let result = match function {
        Float::FusedMultiplyAdd => {
            // The product is exact but the sum isn't; rounding to odd preserves the sticky information.
            let (product, addend) = (f64::from(a) * f64::from(b), f64::from(c));
            round_to_odd(sum_to_odd(product, addend))
        }
        _ => single(function, [a, b, c]),
    };
    u64::from(f16::from_f32(result).to_bits())
}

/// Returns the sum, rounded to odd: the last bit is set if the sum is inexact.
fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    if error == 0.0 || !error.is_finite() || sum.to_bits() & 1 == 1 {
        return sum;
    }
    // Moves toward the exact sum, to the neighbor with the odd last bit.
    let outwards = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if outwards { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
}

impl Compare {
    fn evaluate(&self, a: u64, b: u64, c: u64) -> bool {
        let result = if self.of.is_float() {
            let value = |value| match self.of.bits {
                16 => f32::from(f16::from_bits(value as u16)),
                _ => flush(f32::from_bits(value as u32), self.flushes),
            };
            self.comparison.holds(value(a).partial_cmp(&value(b)))
        } else {
            self.comparison.holds(Some(self.of.number(a).cmp(&self.of.number(b))))
        };
        let Some((logic, is_negated)) = self.combined else { return result };
        let other = (c & 1 == 1) != is_negated;
        match logic {
            Logic::And => result & other,
            Logic::Or => result | other,
            Logic::Xor => result ^ other,
        }
    }
}

impl Comparison {
    /// Compares two ordered values, or unordered ones because of a NaN.
    fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        let is = |wanted: fn(std::cmp::Ordering) -> bool| order.is_some_and(wanted);
        let nan = order.is_none();
        match self {
            Self::Equal => is(|order| order.is_eq()),
            Self::NotEqual => is(|order| order.is_ne()),
            Self::Less => is(|order| order.is_lt()),
            Self::LessOrEqual => is(|order| order.is_le()),
            Self::Greater => is(|order| order.is_gt()),
            Self::GreaterOrEqual => is(|order| order.is_ge()),
            Self::EqualOrNan => nan || is(|order| order.is_eq()),
            Self::NotEqualOrNan => nan || is(|order| order.is_ne()),
            Self::LessOrNan => nan || is(|order| order.is_lt()),
            Self::LessOrEqualOrNan => nan || is(|order| order.is_le()),
            Self::GreaterOrNan => nan || is(|order| order.is_gt()),
            Self::GreaterOrEqualOrNan => nan || is(|order| order.is_ge()),
            Self::BothNumbers => !nan,
            Self::EitherNan => nan,
        }
    }
}
