//! Random numbers for tests.

use crate::generator::{GOLDEN_GAMMA, finalize};

/// Small deterministic random number generator.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        (finalize(self.0) % limit as u64) as usize
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

/// Operands for tests of single instructions, including edge cases.
impl Dice {
    /// Returns 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.below(1 << 32) as u32
    }

    /// Returns bytes, most often the limits of signed and unsigned ones.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| match self.below(16) {
            0 => 0,
            1 => 255,
            2 => 128,
            3 => 127,
            _ => self.below(256) as u8,
        })
    }

    pub fn signed_bytes<const N: usize>(&mut self) -> [i8; N] {
        self.bytes().map(|byte| byte as i8)
    }

    /// Returns integers of every magnitude.
    pub fn integers<const N: usize>(&mut self) -> [i32; N] {
        std::array::from_fn(|_| {
            let bits = self.bits() as i32;
            bits >> self.below(32)
        })
    }

    pub fn shorts<const N: usize>(&mut self) -> [i16; N] {
        self.integers().map(|value| value as i16)
    }

    /// Returns floats of every magnitude, with zeros, infinities, subnormals and NaN among them.
    pub fn floats<const N: usize>(&mut self) -> [f32; N] {
        std::array::from_fn(|_| match self.below(16) {
            0 => 0.0,
            1 => -0.0,
            2 => f32::INFINITY,
            3 => 1e-41,
            4 => f32::NAN,
            5 => f32::MAX,
            6 => 1.5,
            _ => self.bits() as i32 as f32 * 2f32.powi(self.below(60) as i32 - 50),
        })
    }

    /// Returns multiples of one half that fit a 16-bit integer.
    pub fn small_floats<const N: usize>(&mut self) -> [f32; N] {
        std::array::from_fn(|_| (self.below(2000) as f32 - 1000.0) / 2.0)
    }
}
