//! Scalar instructions: names and types.

use super::operands::{Modifiers, Operands};
use crate::arithmetic::{Compare, Comparison, Float, Format, Integer, Logic, Part, Scalar};
use crate::convert::{Convert, Rounding};
use crate::error::Defect;
use crate::instruction::{Operation, Source};
use crate::types::{Kind, Type};

/// Decodes `mov`, which also packs and unpacks.
pub fn moving(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    let of = modifiers.data_type()?;
    let part = |parts: usize| match (of.bits, parts) {
        (16 | 32 | 64, 2) | (32 | 64, 4) => {
            Ok(Type { kind: Kind::Bits, bits: of.bits / parts as u32 })
        }
        _ => Err(modifiers.bad_type(of)),
    };
    if operands.next_is_vector() {
        let names = operands.elements()?;
        let destinations = names.iter().map(|name| operands.register_named(name));
        let destinations = destinations.collect::<Result<Vec<_>, _>>()?;
        let part = part(destinations.len())?;
        return Ok(Operation::Unpack { destinations, source: operands.source()?, part });
    }
    let destination = operands.register()?;
    if operands.next_is_vector() {
        let names = operands.elements()?;
        let parts = names.iter().map(|name| operands.source_named(name));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let part = part(parts.len())?;
        return Ok(Operation::Pack { destination, parts, part });
    }
    let sources = sources(1, operands)?;
    Ok(Operation::Scalar { scalar: Scalar::Move(of), destination, sources })
}

pub fn scalar(
    opcode: &str,
    modifiers: &mut Modifiers,
    operands: &mut Operands,
) -> Result<Operation, Defect> {
    let (scalar, count) = match opcode {
        "setp" => return comparison(modifiers, operands),
        "selp" => (Scalar::Select(modifiers.data_type()?), 3),
        "cvt" => convert(modifiers)?,
        "cvta" => {
            modifiers.take("to");
            modifiers.need(&[("global", ()), ("shared", ())], "a state space")?;
            // Addresses are the same numbers in every space, so mixing spaces is detected as out of bounds.
            (Scalar::Move(modifiers.data_type()?), 1)
        }
        "dp4a" => {
            let (a, b) = (modifiers.data_type()?, modifiers.data_type()?);
            for of in [a, b] {
                if !of.is_integer() || of.bits != 32 {
                    return Err(modifiers.bad_type(of));
                }
            }
            let byte = |of: Type| Type { kind: of.kind, bits: 8 };
            (Scalar::Integer(Integer::DotProduct { a: byte(a), b: byte(b) }, a), 3)
        }
        _ => arithmetic(opcode, modifiers)?,
    };
    let destination = operands.register()?;
    let sources = sources(count, operands)?;
    Ok(Operation::Scalar { scalar, destination, sources })
}

fn sources(count: usize, operands: &mut Operands) -> Result<[Source; 4], Defect> {
    let mut sources = [Source::Constant(0); 4];
    for source in &mut sources[..count] {
        *source = operands.source()?;
    }
    Ok(sources)
}

/// Meanings of an opcode for integers or bits and for floats, and its number of arguments.
type Meaning = (&'static str, Option<Integer>, Option<Float>, usize);

const PRODUCT: Integer = Integer::Multiply(Part::Low);
const PRODUCT_AND_SUM: Integer = Integer::MultiplyAdd(Part::Low);
const FUNNEL_SHIFT: Integer = Integer::FunnelShift { is_left: true, clamps: false };
const MINIMUM: Float = Float::Minimum { keeps_nan: false };
const MAXIMUM: Float = Float::Maximum { keeps_nan: false };

/// Modifiers such as parts and directions are parsed separately.
const MEANINGS: [Meaning; 30] = [
    ("add", Some(Integer::Add), Some(Float::Add), 2),
    ("sub", Some(Integer::Subtract), Some(Float::Subtract), 2),
    ("mul", Some(PRODUCT), Some(Float::Multiply), 2),
    ("mad", Some(PRODUCT_AND_SUM), None, 3),
    ("fma", None, Some(Float::FusedMultiplyAdd), 3),
    ("div", Some(Integer::Divide), Some(Float::Divide), 2),
    ("rem", Some(Integer::Remainder), None, 2),
    ("min", Some(Integer::Minimum), Some(MINIMUM), 2),
    ("max", Some(Integer::Maximum), Some(MAXIMUM), 2),
    ("neg", Some(Integer::Negate), Some(Float::Negate), 1),
    ("abs", Some(Integer::Absolute), Some(Float::Absolute), 1),
    ("copysign", None, Some(Float::CopySign), 2),
    ("and", Some(Integer::And), None, 2),
    ("or", Some(Integer::Or), None, 2),
    ("xor", Some(Integer::Xor), None, 2),
    ("not", Some(Integer::Not), None, 1),
    ("shl", Some(Integer::ShiftLeft), None, 2),
    ("shr", Some(Integer::ShiftRight), None, 2),
    ("shf", Some(FUNNEL_SHIFT), None, 3),
    ("bfe", Some(Integer::ExtractBits), None, 3),
    ("bfi", Some(Integer::InsertBits), None, 4),
    ("prmt", Some(Integer::Permute), None, 3),
    ("popc", Some(Integer::PopulationCount), None, 1),
    ("clz", Some(Integer::LeadingZeros), None, 1),
    ("rcp", None, Some(Float::Reciprocal), 1),
    ("sqrt", None, Some(Float::SquareRoot), 1),
    ("rsqrt", None, Some(Float::ReciprocalSquareRoot), 1),
    ("ex2", None, Some(Float::Exp2), 1),
    ("lg2", None, Some(Float::Log2), 1),
    ("tanh", None, Some(Float::Tanh), 1),
];

/// Selects the integer, bit or float operation by type.
fn arithmetic(opcode: &str, modifiers: &mut Modifiers) -> Result<(Scalar, usize), Defect> {
    let meaning = MEANINGS.iter().find(|meaning| meaning.0 == opcode);
    let &(_, integer, float, count) =
        meaning.ok_or_else(|| Defect::Instruction(opcode.to_owned()))?;
    let of = modifiers.data_type()?;
    let scalar = match (of.is_float(), integer, float) {
        (true, _, Some(function)) => {
            let function = float_function(function, modifiers);
            Scalar::Float(function, format(function, of, modifiers)?)
        }
        (false, Some(function), _) => {
            let function = integer_function(function, modifiers)?;
            if !takes(function, of) {
                return Err(modifiers.bad_type(of));
            }
            Scalar::Integer(function, of)
        }
        _ => return Err(modifiers.bad_type(of)),
    };
    Ok((scalar, count))
}

fn integer_function(function: Integer, modifiers: &mut Modifiers) -> Result<Integer, Defect> {
    let parts = [("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)];
    let what = "a part of the product";
    Ok(match function {
        Integer::Multiply(_) => Integer::Multiply(modifiers.need(&parts, what)?),
        Integer::MultiplyAdd(_) => Integer::MultiplyAdd(modifiers.need(&parts, what)?),
        Integer::FunnelShift { .. } => Integer::FunnelShift {
            is_left: modifiers.need(&[("l", true), ("r", false)], "a direction")?,
            clamps: modifiers.need(&[("clamp", true), ("wrap", false)], "a mode")?,
        },
        other => other,
    })
}

fn takes(function: Integer, of: Type) -> bool {
    let is_bits = of.kind == Kind::Bits;
    of.bits != 8
        && match function {
            Integer::And | Integer::Or | Integer::Xor | Integer::Not => {
                is_bits || of.kind == Kind::Predicate
            }
            Integer::ShiftLeft => is_bits,
            Integer::ShiftRight => is_bits || of.is_integer(),
            Integer::FunnelShift { .. } | Integer::Permute => is_bits && of.bits == 32,
            Integer::InsertBits | Integer::PopulationCount | Integer::LeadingZeros => {
                is_bits && of.bits >= 32
            }
            Integer::ExtractBits => of.is_integer() && of.bits >= 32,
            Integer::Multiply(Part::Wide) | Integer::MultiplyAdd(Part::Wide) => {
                of.is_integer() && of.bits <= 32
            }
            Integer::Negate | Integer::Absolute => of.kind == Kind::Signed,
            _ => of.is_integer(),
        }
}

fn float_function(function: Float, modifiers: &mut Modifiers) -> Float {
    match function {
        Float::Minimum { .. } => Float::Minimum { keeps_nan: modifiers.take("NaN") },
        Float::Maximum { .. } => Float::Maximum { keeps_nan: modifiers.take("NaN") },
        other => other,
    }
}

/// Parses the remaining modifiers of a float operation. Approximations are computed exactly.
fn format(function: Float, of: Type, modifiers: &mut Modifiers) -> Result<Format, Defect> {
    let what = "a rounding or an approximation";
    match function {
        Float::Add | Float::Subtract | Float::Multiply => {
            modifiers.take("rn");
        }
        Float::FusedMultiplyAdd => modifiers.need(&[("rn", ())], what)?,
        Float::Divide => modifiers.need(&[("rn", ()), ("approx", ()), ("full", ())], what)?,
        Float::Reciprocal | Float::SquareRoot => {
            modifiers.need(&[("rn", ()), ("approx", ())], what)?;
        }
        Float::ReciprocalSquareRoot | Float::Exp2 | Float::Log2 | Float::Tanh => {
            modifiers.need(&[("approx", ())], what)?;
        }
        _ => (),
    }
    let has_sum = matches!(
        function,
        Float::Add | Float::Subtract | Float::Multiply | Float::FusedMultiplyAdd
    );
    if of == Type::F32 {
        let flushes = modifiers.take("ftz");
        return Ok(Format::F32 { flushes, saturates: has_sum && modifiers.take("sat") });
    }
    let is_known = has_sum
        || matches!(function, Float::Minimum { .. } | Float::Maximum { .. })
        || matches!(function, Float::Negate | Float::Absolute | Float::Exp2 | Float::Tanh);
    match of {
        Type::F16 if is_known => Ok(Format::F16),
        Type::F16X2 if is_known => Ok(Format::F16x2),
        _ => Err(modifiers.bad_type(of)),
    }
}

fn comparison(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    use Comparison::*;
    let signed = [
        ("eq", Equal),
        ("ne", NotEqual),
        ("lt", Less),
        ("le", LessOrEqual),
        ("gt", Greater),
        ("ge", GreaterOrEqual),
    ];
    let unsigned = [("lo", Less), ("ls", LessOrEqual), ("hi", Greater), ("hs", GreaterOrEqual)];
    let float = [
        ("equ", EqualOrNan),
        ("neu", NotEqualOrNan),
        ("ltu", LessOrNan),
        ("leu", LessOrEqualOrNan),
        ("gtu", GreaterOrNan),
        ("geu", GreaterOrEqualOrNan),
        ("num", BothNumbers),
        ("nan", EitherNan),
    ];
    let logic = modifiers.one_of(&[("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)]);
    let of = modifiers.data_type()?;
    let mut choices = signed.to_vec();
    match of.kind {
        Kind::Signed => (),
        Kind::Unsigned => choices.extend(unsigned),
        Kind::Float => choices.extend(float),
        // Bits are equal or not, but unordered.
        Kind::Bits => choices.truncate(2),
        Kind::Predicate | Kind::FloatPair => return Err(modifiers.bad_type(of)),
    }
    let comparison = modifiers.need(&choices, "a comparison that its type has")?;
    let flushes = of == Type::F32 && modifiers.take("ftz");
    let destination = operands.register()?;
    let mut sources = sources(2, operands)?;
    let combined = match logic {
        None => None,
        Some(logic) => {
            let (source, is_negated) = operands.predicate()?;
            sources[2] = source;
            Some((logic, is_negated))
        }
    };
    let scalar = Scalar::Compare(Compare { comparison, of, flushes, combined });
    Ok(Operation::Scalar { scalar, destination, sources })
}

fn convert(modifiers: &mut Modifiers) -> Result<(Scalar, usize), Defect> {
    let roundings = [
        ("rni", Rounding::Nearest),
        ("rzi", Rounding::TowardZero),
        ("rmi", Rounding::Down),
        ("rpi", Rounding::Up),
    ];
    let (to, from) = (modifiers.data_type()?, modifiers.data_type()?);
    let is_number = |of: Type| of.is_integer() || of.kind == Kind::Float;
    if !is_number(from) || !(is_number(to) || to == Type::F16X2 && from == Type::F32) {
        return Err(modifiers.bad_type(to));
    }
    let rounding = if from.is_float() { modifiers.one_of(&roundings) } else { None };
    let is_narrowing = to.is_float() && (!from.is_float() || to.bits < from.bits);
    if from.is_float() && !to.is_float() && rounding.is_none() {
        return Err(modifiers.lacks("a rounding to an integer"));
    }
    if is_narrowing || to == Type::F16X2 {
        modifiers.need(&[("rn", ())], "a rounding")?;
    }
    let flushes = [to, from].contains(&Type::F32) && modifiers.take("ftz");
    let saturates = modifiers.take("sat");
    let count = if to == Type::F16X2 { 2 } else { 1 };
    Ok((Scalar::Convert(Convert { to, from, rounding, flushes, saturates }), count))
}
