//! Parsing of a statement's modifiers and operands, one at a time.

use crate::error::Defect;
use crate::instruction::{Address, Axis, Order, Register, Source, Special};
use crate::ptx::Names;
use crate::text::split_at_commas;
use crate::types::Type;

/// Modifiers after the opcode: `.rn.ftz.f32`.
pub struct Modifiers<'a> {
    instruction: &'a str,
    left: Vec<&'a str>,
}

impl<'a> Modifiers<'a> {
    /// Splits an instruction into the opcode and its modifiers.
    pub fn new(instruction: &'a str) -> (&'a str, Self) {
        let mut parts = instruction.split('.');
        let opcode = parts.next().unwrap_or("");
        (opcode, Self { instruction, left: parts.collect() })
    }

    /// Takes a modifier and returns `true` if it is present.
    pub fn take(&mut self, name: &str) -> bool {
        self.one_of(&[(name, ())]).is_some()
    }

    /// Takes the first modifier among these and returns its value.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        let meaning = |name: &&str| choices.iter().find(|choice| choice.0 == *name);
        let (index, &(_, meaning)) = (0..)
            .zip(&self.left)
            .find_map(|(index, name)| meaning(name).map(|choice| (index, choice)))?;
        self.left.remove(index);
        Some(meaning)
    }

    pub fn need<T: Copy>(
        &mut self,
        choices: &[(&str, T)],
        what: &'static str,
    ) -> Result<T, Defect> {
        self.one_of(choices).ok_or_else(|| self.lacks(what))
    }

    /// Takes the first modifier that is a type.
    pub fn data_type(&mut self) -> Result<Type, Defect> {
        let position = self.left.iter().position(|name| Type::parse(name).is_some());
        let of = position.and_then(|index| Type::parse(self.left.remove(index)));
        of.ok_or_else(|| self.unknown().unwrap_or_else(|| self.lacks("a type")))
    }

    /// Skips cache hints.
    pub fn take_hints(&mut self) {
        self.left.retain(|name| !name.starts_with("L1::") && !name.starts_with("L2::"));
    }

    pub fn take_all(&mut self) -> Vec<&'a str> {
        std::mem::take(&mut self.left)
    }

    pub fn lacks(&self, what: &'static str) -> Defect {
        Defect::Lacks { instruction: self.instruction.to_owned(), what }
    }

    pub fn bad_type(&self, of: Type) -> Defect {
        let parsed = |name: &&str| Type::parse(name) == Some(of);
        let name = self.instruction.split('.').find(parsed).unwrap_or_default().to_owned();
        Defect::Type { instruction: self.instruction.to_owned(), name }
    }

    pub fn finish(&self) -> Result<(), Defect> {
        self.unknown().map_or(Ok(()), Err)
    }

    fn unknown(&self) -> Option<Defect> {
        let instruction = self.instruction.to_owned();
        let modifier = self.left.first()?.to_string();
        Some(Defect::Modifier { instruction, modifier })
    }
}

pub struct Operands<'a> {
    left: std::vec::IntoIter<&'a str>,
    names: &'a Names,
}

impl<'a> Operands<'a> {
    pub fn new(text: &'a str, names: &'a Names) -> Self {
        Self { left: split_at_commas(text).into_iter(), names }
    }

    pub fn is_empty(&self) -> bool {
        self.left.len() == 0
    }

    pub fn finish(&self) -> Result<(), Defect> {
        match self.left.len() {
            0 => Ok(()),
            left => Err(Defect::Operands(left)),
        }
    }

    pub fn next_is_vector(&self) -> bool {
        self.left.as_slice().first().is_some_and(|operand| operand.starts_with('{'))
    }

    /// Parses a destination register.
    pub fn register(&mut self) -> Result<Register, Defect> {
        let name = self.next()?;
        self.register_named(name)
    }

    /// Parses a destination register and, after `|`, an optional predicate.
    pub fn register_pair(&mut self) -> Result<(Register, Option<Register>), Defect> {
        let name = self.next()?;
        match name.split_once('|') {
            None => Ok((self.register_named(name)?, None)),
            Some((first, second)) => {
                Ok((self.register_named(first.trim())?, Some(self.register_named(second.trim())?)))
            }
        }
    }

    pub fn registers(&mut self, count: usize) -> Result<Vec<Register>, Defect> {
        self.vector(count)?.into_iter().map(|name| self.register_named(name)).collect()
    }

    pub fn source(&mut self) -> Result<Source, Defect> {
        let text = self.next()?;
        self.source_named(text)
    }

    pub fn sources(&mut self, count: usize) -> Result<Vec<Source>, Defect> {
        self.vector(count)?.into_iter().map(|text| self.source_named(text)).collect()
    }

    /// Parses a source predicate and whether it is negated.
    pub fn predicate(&mut self) -> Result<(Source, bool), Defect> {
        let text = self.next()?;
        match text.strip_prefix('!') {
            Some(name) => Ok((self.source_named(name.trim())?, true)),
            None => Ok((self.source_named(text)?, false)),
        }
    }

    /// Parses an address: `[base]`, `[base+offset]` or `[base-offset]`.
    pub fn address(&mut self) -> Result<Address, Defect> {
        let operand = self.next()?;
        let wanted = || Defect::Operand { operand: operand.to_owned(), wanted: "an address" };
        let text = operand.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let text = text.ok_or_else(wanted)?.trim();
        let (base, offset) = match text.find(['+', '-']) {
            Some(index) if index > 0 => {
                let (base, offset) = text.split_at(index);
                let offset = offset.strip_prefix('+').unwrap_or(offset).trim();
                (base.trim(), constant(offset).ok_or_else(wanted)?)
            }
            _ => (text, 0),
        };
        Ok(Address { base: self.source_named(base)?, offset })
    }

    pub fn constant(&mut self) -> Result<u64, Defect> {
        let text = self.next()?;
        let wanted = "a constant";
        constant(text).ok_or_else(|| Defect::Operand { operand: text.to_owned(), wanted })
    }

    pub fn label(&mut self) -> Result<usize, Defect> {
        let name = self.next()?;
        let wanted = "a label";
        let label = self.names.label(name);
        label.ok_or_else(|| Defect::Operand { operand: name.to_owned(), wanted })
    }

    /// Parses the elements of `{a, b}`, which must be `count`.
    fn vector(&mut self, count: usize) -> Result<Vec<&'a str>, Defect> {
        let elements = self.elements()?;
        if elements.len() == count {
            return Ok(elements);
        }
        let operand = format!("{{{}}}", elements.join(", "));
        Err(Defect::Operand { operand, wanted: "a vector of the right length" })
    }

    pub fn elements(&mut self) -> Result<Vec<&'a str>, Defect> {
        let operand = self.next()?;
        let text = operand.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let wanted = "a vector";
        text.map(split_at_commas)
            .ok_or_else(|| Defect::Operand { operand: operand.to_owned(), wanted })
    }

    pub fn register_named(&self, name: &str) -> Result<Register, Defect> {
        let register = self.names.register(name);
        let wanted = "a register";
        register.ok_or_else(|| Defect::Operand { operand: name.to_owned(), wanted })
    }

    pub fn source_named(&self, text: &str) -> Result<Source, Defect> {
        let register = self.names.register(text).filter(|&register| register != Names::SINK);
        register
            .map(Source::Register)
            .or_else(|| special(text).map(Source::Special))
            .or_else(|| self.names.symbol(text).map(Source::Constant))
            .or_else(|| constant(text).map(Source::Constant))
            .ok_or_else(|| Defect::Operand { operand: text.to_owned(), wanted: "a known value" })
    }

    fn next(&mut self) -> Result<&'a str, Defect> {
        self.left.next().ok_or(Defect::Syntax("missing operand"))
    }
}

/// Parses an integer, or the bits of an `f32`.
pub fn constant(text: &str) -> Option<u64> {
    if text == "WARP_SZ" {
        return Some(32);
    }
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits.trim_start()),
        None => (false, text),
    };
    let bits = digits.strip_prefix("0f").or(digits.strip_prefix("0F"));
    if let Some(bits) = bits.filter(|bits| bits.len() == 8) {
        let bits = u32::from_str_radix(bits, 16).ok()?;
        return Some(u64::from(if is_negative { bits ^ 1 << 31 } else { bits }));
    }
    let digits = digits.strip_suffix('U').unwrap_or(digits);
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(start) if start.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    let is_digits = digits.starts_with(|first: char| first.is_ascii_hexdigit());
    let value = is_digits.then(|| u64::from_str_radix(digits, radix).ok())??;
    Some(if is_negative { value.wrapping_neg() } else { value })
}

fn special(name: &str) -> Option<Special> {
    let axis = |name: &str| match name {
        "x" => Some(Axis::X),
        "y" => Some(Axis::Y),
        "z" => Some(Axis::Z),
        _ => None,
    };
    match name.split_once('.') {
        Some(("%tid", name)) => axis(name).map(Special::Thread),
        Some(("%ntid", name)) => axis(name).map(Special::BlockSize),
        Some(("%ctaid", name)) => axis(name).map(Special::Block),
        Some(("%nctaid", name)) => axis(name).map(Special::GridSize),
        Some(_) => None,
        None => match name {
            "%laneid" => Some(Special::Lane),
            "%warpid" => Some(Special::Warp),
            "%lanemask_eq" => Some(Special::LaneMask(Order::Equal)),
            "%lanemask_lt" => Some(Special::LaneMask(Order::Less)),
            "%lanemask_le" => Some(Special::LaneMask(Order::LessOrEqual)),
            "%lanemask_gt" => Some(Special::LaneMask(Order::Greater)),
            "%lanemask_ge" => Some(Special::LaneMask(Order::GreaterOrEqual)),
            _ => None,
        },
    }
}
