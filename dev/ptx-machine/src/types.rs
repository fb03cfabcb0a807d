//! Types of values. A value is stored in 64 bits; its type determines how many of them are used.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Predicate,
    Bits,
    Unsigned,
    Signed,
    Float,
    /// Two floats of half the width each.
    FloatPair,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    pub kind: Kind,
    pub bits: u32,
}

impl Type {
    pub const PREDICATE: Self = Self { kind: Kind::Predicate, bits: 1 };
    pub const F16: Self = Self { kind: Kind::Float, bits: 16 };
    pub const F16X2: Self = Self { kind: Kind::FloatPair, bits: 32 };
    pub const F32: Self = Self { kind: Kind::Float, bits: 32 };

    /// Parses a name without the dot. `f64`, `bf16` and the 8-bit floats are not supported.
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, widths): (_, &[u32]) = match name.chars().next()? {
            'b' => (Kind::Bits, &[8, 16, 32, 64]),
            'u' => (Kind::Unsigned, &[8, 16, 32, 64]),
            's' => (Kind::Signed, &[8, 16, 32, 64]),
            'f' if name == "f16x2" => return Some(Self::F16X2),
            'f' => (Kind::Float, &[16, 32]),
            'p' if name == "pred" => return Some(Self::PREDICATE),
            _ => return None,
        };
        let bits = name[1..].parse().ok()?;
        widths.contains(&bits).then_some(Self { kind, bits })
    }

    pub fn bytes(self) -> usize {
        self.bits.div_ceil(8) as usize
    }

    pub fn is_integer(self) -> bool {
        matches!(self.kind, Kind::Unsigned | Kind::Signed)
    }

    pub fn is_float(self) -> bool {
        matches!(self.kind, Kind::Float | Kind::FloatPair)
    }

    /// Returns the bits that are used, with the others cleared.
    pub fn truncate(self, value: u64) -> u64 {
        value & (u64::MAX >> (64 - self.bits))
    }

    /// Returns the integer that the bits represent.
    pub fn number(self, value: u64) -> i128 {
        let value = self.truncate(value);
        if self.kind == Kind::Signed {
            let unused = 64 - self.bits;
            i128::from((value << unused) as i64 >> unused)
        } else {
            i128::from(value)
        }
    }

    /// Returns the smallest and the largest integer.
    pub fn range(self) -> (i128, i128) {
        match self.kind {
            Kind::Signed => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            _ => (0, (1 << self.bits) - 1),
        }
    }
}
