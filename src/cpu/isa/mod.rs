//! Instruction sets: what each supplies, and the choice among them.
//!
//! An instruction set is a proof token: a value of [`Avx2`] can only come from its `detect`, so a
//! function that takes one may use its instructions. Operations are written once, as a [`Kernel`]
//! over the vector operations of [`Isa`], and [`Isa::run`] compiles them with the set's instructions
//! switched on. A new set is one file here and one line in [`InstructionSet::run`].
//!
//! Where machines differ in how they multiply bytes alone, the file is an `IntegerUnit` of a set that is
//! there. What packing must know of a tile (its columns, the inputs of a step, what these are held less) are
//! constants of [`Isa`].

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
#[cfg(target_arch = "aarch64")]
mod dotprod;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod integers;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod prefetch;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod rows;
mod tile;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;
use std::str::FromStr;

use half::f16;

#[cfg(target_arch = "x86_64")]
use self::amx::Amx;
#[cfg(target_arch = "x86_64")]
use self::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use self::avx512::{Avx512, Vnni};
#[cfg(target_arch = "x86_64")]
use self::avxvnni::AvxVnni;
#[cfg(target_arch = "aarch64")]
use self::dotprod::Dotprod;
#[cfg(target_arch = "aarch64")]
use self::i8mm::I8mm;
#[cfg(target_arch = "aarch64")]
use self::neon::{Neon, Widening};
use self::portable::Portable;
pub(crate) use self::prefetch::prefetch;
pub(crate) use self::tile::{Ahead, FLOAT_DEPTH_BLOCK, TileOutput, TileRows};
use crate::error::{DeviceError, Error, Result};

/// The most lanes that a vector of any instruction set has.
pub(crate) const MAX_LANES: usize = 16;

/// Rows and columns of what [`Isa::transpose_square`] transposes.
pub(crate) const SQUARE: usize = 8;

/// An operation written over vectors of any instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Implementations that compute are `#[inline(always)]`, so that they are compiled inside
    /// [`Isa::run`], with its instructions.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// What an instruction set supplies: a vector of `f32`, and the tile of a matrix product.
///
/// Every method is exact IEEE arithmetic in a fixed order: results depend on the operands alone.
pub(crate) trait Isa: Copy + Send + Sync + 'static {
    /// A vector of `LANES` values, at most [`MAX_LANES`].
    type F32: Copy;
    const LANES: usize;
    /// Columns of a packed panel; a multiple of `LANES`.
    const PANEL: usize;
    /// Rows of a full tile.
    const TILE_ROWS: usize;
    /// Rows of a full tile of integers.
    const INT8_TILE_ROWS: usize = Self::TILE_ROWS;
    /// Inputs of one step of a panel of integers, whose weights are side by side for each column.
    const INT8_GROUP: usize = 4;
    /// What 8-bit inputs are held less, modulo 256: zero, or 128 where instructions take signed bytes.
    const INT8_OFFSET: u8 = 0;

    /// Runs an operation with this set's instructions.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;

    /// Multiplies up to `TILE_ROWS` rows by one packed panel, and asks for what comes next to be
    /// brought into L2. Each output is summed over the inner dimension in one order, whatever the
    /// number of rows.
    fn tile_f32(
        self,
        input: TileRows<'_, f32>,
        panel: &[f32],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    );

    /// As [`tile_f32`](Self::tile_f32), with the same bits, for weights that are widened as they are
    /// read.
    fn tile_f16(
        self,
        input: TileRows<'_, f32>,
        panel: &[f16],
        ahead: Ahead<'_>,
        output: TileOutput<'_, f32>,
    );

    /// As [`tile_f32`](Self::tile_f32), exactly, for up to `INT8_TILE_ROWS` rows of inputs, less
    /// `INT8_OFFSET`, and weights between −63 and 63 in groups of `INT8_GROUP`.
    fn tile_int8(
        self,
        input: TileRows<'_, u8>,
        panel: &[i8],
        ahead: Ahead<'_>,
        output: TileOutput<'_, i32>,
    );

    /// The first `LANES` of `sums − zero_point · column_sums`, which is exact before it is rounded to
    /// `f32`.
    fn without_zero_point(self, sums: &[i32], zero_point: i32, column_sums: &[i32]) -> Self::F32;

    /// Writes `LANES` values between 0 and 255 as the nearest integers, halves to even, less
    /// `INT8_OFFSET`.
    fn store_rounded(self, value: Self::F32, to: &mut [u8]);

    /// Writes `SQUARE` rows of `SQUARE` values as columns: value `c` of row `r` goes to
    /// `to[c · to_stride + r]`.
    fn transpose_square(self, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize);

    fn splat(self, value: f32) -> Self::F32;
    /// The first `LANES` values; panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::F32;
    /// Writes the first `LANES` values; panics if there is room for fewer.
    fn store(self, value: Self::F32, to: &mut [f32]);
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a · b + c`, rounded once where the set has the instruction.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `value` where `a < b`, else zero.
    fn keep_if_less(self, a: Self::F32, b: Self::F32, value: Self::F32) -> Self::F32;
    /// `2^n` for whole `n` from −126 to 127.
    fn power_of_two(self, n: Self::F32) -> Self::F32;
    fn sum(self, a: Self::F32) -> f32;
    fn largest(self, a: Self::F32) -> f32;
    fn smallest(self, a: Self::F32) -> f32;
}

/// The instruction sets that the engine can compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// Plain Rust and the `matrixmultiply` crate: runs everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// The same and AVX-VNNI for 8-bit products.
    AvxVnni,
    /// x86-64 with AVX-512F and BW.
    Avx512,
    /// x86-64 with AVX-512F, BW and VNNI.
    Avx512Vnni,
    /// The same and AMX for 8-bit products, on Linux.
    Avx512Amx,
    /// aarch64, all of which has NEON.
    Neon,
    /// The same and dot products of bytes.
    Dotprod,
    /// aarch64 with products of matrices of bytes.
    I8mm,
}

impl InstructionSet {
    /// All sets, of each architecture the best last.
    pub const ALL: [Self; 9] = [
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

    /// The environment variable that forces a set, by its [`name`](Self::name).
    pub const ENVIRONMENT: &str = "DISTILBERT_ISA";

    /// The sets that this machine has, the best last.
    pub fn detected() -> Vec<Self> {
        Self::ALL.into_iter().filter(|set| set.is_detected()).collect()
    }

    fn is_detected(self) -> bool {
        struct Nothing;
        impl Kernel for Nothing {
            type Output = ();
            fn run<I: Isa>(self, _: I) {}
        }
        self.run(Nothing).is_some()
    }

    /// Runs a kernel with this set, if the machine has it.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> Option<K::Output> {
        match self {
            Self::Portable => Some(Portable.run(kernel)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::<avx2::Pairs>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Avx2::<AvxVnni>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::<avx512::Pairs>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512::<Vnni>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Amx => Avx512::<Amx>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::<Widening>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => Neon::<Dotprod>::detect().map(|isa| isa.run(kernel)),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => Neon::<I8mm>::detect().map(|isa| isa.run(kernel)),
            _ => None,
        }
    }

    /// The set's name, as `DISTILBERT_ISA` takes it.
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

    /// What was asked for, else what `DISTILBERT_ISA` says, else the best that the machine has.
    ///
    /// # Errors
    /// [`DeviceError::InstructionSet`] for an unknown name or one that this machine lacks.
    pub fn choose(requested: Option<Self>) -> Result<Self> {
        let requested = match (requested, std::env::var_os(Self::ENVIRONMENT)) {
            (Some(set), _) => set,
            (None, Some(name)) if !name.is_empty() => name.to_string_lossy().parse()?,
            (None, _) => {
                let best = Self::ALL.into_iter().rev().find(|set| set.is_detected());
                return Ok(best.unwrap_or(Self::Portable));
            }
        };
        if requested.is_detected() { Ok(requested) } else { Err(requested.missing()) }
    }

    /// What a machine must have, as users know it.
    fn needs(self) -> &'static str {
        match self {
            Self::Portable => "nothing",
            Self::Avx2 => "x86-64 with AVX2, FMA and F16C",
            Self::AvxVnni => "x86-64 with AVX2, FMA, F16C and AVX-VNNI",
            Self::Avx512 => "x86-64 with AVX-512F and BW",
            Self::Avx512Vnni => "x86-64 with AVX-512F, BW and VNNI",
            Self::Avx512Amx => "x86-64 with AVX-512F, BW and VNNI, AMX, and Linux",
            Self::Neon => "aarch64",
            Self::Dotprod => "aarch64 with dot products (FEAT_DotProd)",
            Self::I8mm => "aarch64 with products of 8-bit matrices (FEAT_I8MM)",
        }
    }

    /// The error that says that this machine lacks the set.
    pub(crate) fn missing(self) -> Error {
        Error::Device(DeviceError::InstructionSet {
            requested: self.name().to_owned(),
            reason: format!(
                "it needs {}, and this machine has {}",
                self.needs(),
                list(&Self::detected())
            ),
        })
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for InstructionSet {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name).ok_or_else(|| {
            Error::Device(DeviceError::InstructionSet {
                requested: name.to_owned(),
                reason: format!("there is no such set; the names are {}", list(&Self::ALL)),
            })
        })
    }
}

fn list(sets: &[InstructionSet]) -> String {
    sets.iter().map(|set| set.name()).collect::<Vec<_>>().join(", ")
}

/// Runs a kernel on every instruction set that this machine has, or on the expected one alone.
#[cfg(test)]
pub(crate) fn on_every_set<K: Kernel + Clone>(
    kernel: K,
    mut check: impl FnMut(InstructionSet, K::Output),
) {
    if let Some(set) = crate::testing::expected_set() {
        let output = set.run(kernel).unwrap_or_else(|| panic!("this machine lacks {set}"));
        return check(set, output);
    }
    for set in InstructionSet::ALL {
        match set.run(kernel.clone()) {
            Some(output) => check(set, output),
            None => println!("skipped {set}: this machine lacks it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[derive(Clone)]
    struct Transpose {
        from: Vec<f32>,
        strides: (usize, usize),
    }

    impl Kernel for Transpose {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Vec<f32> {
            let mut to = vec![7.0; (SQUARE - 1) * self.strides.1 + SQUARE];
            isa.transpose_square(&self.from, self.strides.0, &mut to, self.strides.1);
            to
        }
    }

    #[test]
    fn squares_are_transposed_whatever_the_distance_of_rows() {
        for strides in [(8, 8), (9, 11), (64, 32)] {
            let from = random(1, (SQUARE - 1) * strides.0 + SQUARE);
            let expected: Vec<f32> = (0..(SQUARE - 1) * strides.1 + SQUARE)
                .map(|at| match (at / strides.1, at % strides.1) {
                    (column, row) if row < SQUARE => from[row * strides.0 + column],
                    _ => 7.0,
                })
                .collect();
            on_every_set(Transpose { from, strides }, |set, found| {
                assert_eq!(found, expected, "{set}");
            });
        }
    }
}
