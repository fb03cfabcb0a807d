//! [`InstructionSet`]: the choice among the sets that this machine has.
//!
//! The module above lists the steps for adding a set.

use std::fmt;
use std::str::FromStr;

use crate::error::{DeviceError, Result};
use crate::precision::Precision;

/// An instruction set that the CPU engine can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// Plain Rust and the `matrixmultiply` crate: runs everywhere.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX2, FMA, F16C and, for 8-bit products, AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512F and BW.
    Avx512,
    /// x86-64 with AVX-512F, BW and VNNI.
    Avx512Vnni,
    /// x86-64 with AVX-512F, BW, VNNI and AMX for 8-bit products, on Linux.
    Avx512Amx,
    /// aarch64, which always has NEON.
    Neon,
    /// aarch64 with 8-bit dot products (FEAT_DotProd).
    Dotprod,
    /// aarch64 with 8-bit matrix products (FEAT_I8MM).
    I8mm,
}

impl InstructionSet {
    /// All sets, with the best of each architecture last.
    pub const ALL: &'static [Self] = &[
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Amx,
        Self::Neon,
        Self::Dotprod,
        Self::I8mm,
    ];

    /// Environment variable that forces a set, by its [`name`](Self::name).
    pub const ENVIRONMENT: &str = "DISTILBERT_ISA";

    /// Returns the sets that this machine supports, best last.
    pub fn detected() -> Vec<Self> {
        Self::ALL.iter().copied().filter(|set| set.is_detected()).collect()
    }

    fn is_detected(self) -> bool {
        self.detect().is_some()
    }

    /// Returns `true` if this machine supports the set and can compute in a precision with it. Machines with the same
    /// set may differ in [`Precision::Bf16`]; all can compute in the others.
    ///
    /// ```
    /// use distilbert::{InstructionSet, Precision};
    ///
    /// let set = InstructionSet::choose(None)?;
    /// assert!(set.supports(Precision::F32));
    /// println!("bf16 on {set}: {}", set.supports(Precision::Bf16));
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn supports(self, precision: Precision) -> bool {
        self.detect().is_some_and(|isa| precision != Precision::Bf16 || isa.has_bf16())
    }

    /// Returns the precisions in which this machine can compute with the set, each once: [`Precision::ALL`] without
    /// `Auto`, and without those that it does not [support](Self::supports).
    ///
    /// ```
    /// use distilbert::{InstructionSet, Precision};
    ///
    /// let precisions: Vec<_> = InstructionSet::choose(None)?.precisions().collect();
    /// assert!(precisions.contains(&Precision::Int8) && !precisions.contains(&Precision::Auto));
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    pub fn precisions(self) -> impl Iterator<Item = Precision> {
        let all = Precision::ALL.iter().copied();
        all.filter(move |&precision| precision != Precision::Auto && self.supports(precision))
    }

    /// Returns the set's name, as used in `DISTILBERT_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Avx512Amx => "avx512amx",
            Self::Neon => "neon",
            Self::Dotprod => "dotprod",
            Self::I8mm => "i8mm",
        }
    }

    /// Returns the requested set, else the one that `DISTILBERT_ISA` names, else the best that the machine has.
    ///
    /// # Errors
    /// [`DeviceError::InstructionSet`] for an unknown name or a set that this machine lacks.
    pub fn choose(requested: Option<Self>) -> Result<Self> {
        let requested = match (requested, std::env::var_os(Self::ENVIRONMENT)) {
            (Some(set), _) => set,
            (None, Some(name)) if !name.is_empty() => name.to_string_lossy().parse()?,
            (None, _) => {
                let best = Self::ALL.iter().copied().rev().find(|set| set.is_detected());
                return Ok(best.unwrap_or(Self::Portable));
            }
        };
        if requested.is_detected() { Ok(requested) } else { Err(requested.missing().into()) }
    }

    /// Returns the features that a machine needs, as users know them.
    fn needs(self) -> &'static str {
        match self {
            Self::Portable => "nothing",
            Self::Avx2 => "x86-64 with AVX2, FMA and F16C",
            Self::AvxVnni => "x86-64 with AVX2, FMA, F16C and AVX-VNNI",
            Self::Avx512 => "x86-64 with AVX-512F and BW",
            Self::Avx512Vnni => "x86-64 with AVX-512F, BW and VNNI",
            Self::Avx512Amx => "x86-64 with AVX-512F, BW, VNNI and AMX, on Linux",
            Self::Neon => "aarch64",
            Self::Dotprod => "aarch64 with dot products (FEAT_DotProd)",
            Self::I8mm => "aarch64 with products of 8-bit matrices (FEAT_I8MM)",
        }
    }

    /// Returns the error for a machine that lacks the set.
    pub(crate) fn missing(self) -> DeviceError {
        DeviceError::InstructionSet {
            requested: self.name().to_owned(),
            reason: format!(
                "it needs {}, but this machine supports only {}",
                self.needs(),
                list(&Self::detected())
            ),
        }
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        Self::ALL.iter().copied().find(|set| set.name() == name).ok_or_else(|| {
            DeviceError::InstructionSet {
                requested: name.to_owned(),
                reason: format!("unknown name; expected one of {}", list(Self::ALL)),
            }
        })
    }
}

fn list(sets: &[InstructionSet]) -> String {
    sets.iter().map(|set| set.name()).collect::<Vec<_>>().join(", ")
}
