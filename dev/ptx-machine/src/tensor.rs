//! Matrices in the registers of a warp, and the product of tensor cores.
//!
//! A warp stores a matrix as fragments: each lane has several registers, each with several parts. The position of a part in
//! the matrix is defined by the PTX ISA, in "Matrix Fragments for mma.m16n8k16 with floating point type", "Matrix
//! Fragments for mma.m16n8k32" and "Warp-level matrix load instruction: ldmatrix". The functions here implement those
//! tables.

use half::f16;

use super::error::Stop;
use super::instruction::{Address, LANES, MultiplyMatrices, Register, Shape, Source};
use super::warp::{Surroundings, Warp, from_bytes};

const ROWS: usize = 16;
const COLUMNS: usize = 8;

/// Position in a matrix: row, column.
pub type Place = (usize, usize);

/// Locates a part of fragment `a` of `m16n8k16`, 16 × 16: four registers of two parts.
pub fn a_of_f16(lane: usize, register: usize, part: usize) -> Place {
    let (group, in_group) = (lane / 4, lane % 4);
    let row = if register.is_multiple_of(2) { group } else { group + 8 };
    let column = in_group * 2 + part;
    (row, if register < 2 { column } else { column + 8 })
}

/// Locates a part of fragment `b` of `m16n8k16`, 16 × 8: two registers of two parts.
pub fn b_of_f16(lane: usize, register: usize, part: usize) -> Place {
    let (group, in_group) = (lane / 4, lane % 4);
    let row = in_group * 2 + part;
    (if register == 0 { row } else { row + 8 }, group)
}

/// Locates a part of fragment `a` of `m16n8k32`, 16 × 32: four registers of four parts.
pub fn a_of_int8(lane: usize, register: usize, part: usize) -> Place {
    let (group, in_group) = (lane / 4, lane % 4);
    let row = if register.is_multiple_of(2) { group } else { group + 8 };
    let column = in_group * 4 + part;
    (row, if register < 2 { column } else { column + 16 })
}

/// Locates a part of fragment `b` of `m16n8k32`, 32 × 8: two registers of four parts.
pub fn b_of_int8(lane: usize, register: usize, part: usize) -> Place {
    let (group, in_group) = (lane / 4, lane % 4);
    let row = in_group * 4 + part;
    (if register == 0 { row } else { row + 16 }, group)
}

/// Locates a register of fragments `c` and `d` of both, 16 × 8: four registers of 32 bits.
pub fn c_of_both(lane: usize, register: usize) -> Place {
    let (group, in_group) = (lane / 4, lane % 4);
    let row = if register < 2 { group } else { group + 8 };
    (row, in_group * 2 + register % 2)
}

/// Locates a part of the fragment that `ldmatrix` loads from an 8 × 8 matrix: one register of two parts.
pub fn loaded(lane: usize, part: usize, is_transposed: bool) -> Place {
    let (row, column) = (lane / 4, lane % 4 * 2 + part);
    if is_transposed { (column, row) } else { (row, column) }
}

impl Warp {
    /// Loads one matrix into each register: lanes 0 to 7 provide the addresses of the rows of the first matrix, the next eight
    /// lanes those of the second, and so on.
    pub fn load_matrices(
        &mut self,
        destinations: &[Register],
        is_transposed: bool,
        address: Address,
        around: &mut Surroundings,
    ) -> Result<(), Stop> {
        let addresses = self.addresses(address, around);
        for (first, &destination) in (0..).step_by(8).zip(destinations) {
            let mut matrix = [[0; 8]; 8];
            let mut row_addresses = [0; 8];
            for (row, elements) in matrix.iter_mut().enumerate() {
                let lane = first + row;
                let mut bytes = [0; 16];
                around
                    .shared
                    .load(self.user(lane), addresses[lane], &mut bytes)
                    .map_err(|fault| fault.in_lane(lane))?;
                for (element, bytes) in elements.iter_mut().zip(bytes.chunks(2)) {
                    *element = from_bytes(bytes);
                }
                row_addresses[row] = addresses[lane] as usize;
            }
            around.counts.shared_access(&row_addresses, 16);
            let element = |lane, part| {
                let (row, column): Place = loaded(lane, part, is_transposed);
                matrix[row][column]
            };
            self.set(destination, u32::MAX, |lane| element(lane, 0) | element(lane, 1) << 16);
        }
        Ok(())
    }

    pub fn multiply_matrices(&mut self, product: &MultiplyMatrices, around: &Surroundings) {
        let MultiplyMatrices { shape, d, a, b, c } = product;
        let mut sums = [[0; COLUMNS]; ROWS];
        self.elements(c, 1, around, |lane, register, _, bits| {
            let (row, column) = c_of_both(lane, register);
            sums[row][column] = bits;
        });
        match *shape {
            Shape::F16 => {
                let (mut a_values, mut b_values) = ([[0.0; 16]; ROWS], [[0.0; COLUMNS]; 16]);
                let value = |bits| f32::from(f16::from_bits(bits as u16));
                self.elements(a, 2, around, |lane, register, part, bits| {
                    let (row, column) = a_of_f16(lane, register, part);
                    a_values[row][column] = value(bits);
                });
                self.elements(b, 2, around, |lane, register, part, bits| {
                    let (row, column) = b_of_f16(lane, register, part);
                    b_values[row][column] = value(bits);
                });
                multiply_f16(&a_values, &b_values, &mut sums);
            }
            Shape::Int8 { a_is_signed, b_is_signed } => {
                let (mut a_values, mut b_values) = ([[0; 32]; ROWS], [[0; COLUMNS]; 32]);
                let value = |bits, is_signed| {
                    if is_signed { i32::from(bits as i8) } else { i32::from(bits as u8) }
                };
                self.elements(a, 4, around, |lane, register, part, bits| {
                    let (row, column) = a_of_int8(lane, register, part);
                    a_values[row][column] = value(bits, a_is_signed);
                });
                self.elements(b, 4, around, |lane, register, part, bits| {
                    let (row, column) = b_of_int8(lane, register, part);
                    b_values[row][column] = value(bits, b_is_signed);
                });
                multiply_int8(&a_values, &b_values, &mut sums);
            }
        }
        for (register, &destination) in d.iter().enumerate() {
            self.set(destination, u32::MAX, |lane| {
                let (row, column) = c_of_both(lane, register);
                u64::from(sums[row][column])
            });
        }
    }

    /// Sets each part of each register of each lane to the bits at its position.
    fn elements(
        &self,
        sources: &[Source],
        parts: usize,
        around: &Surroundings,
        mut take: impl FnMut(usize, usize, usize, u32),
    ) {
        for (register, &source) in sources.iter().enumerate() {
            let values = self.values(source, around);
            for (lane, &bits) in values.iter().enumerate().take(LANES) {
                for part in 0..parts {
                    take(lane, register, part, (bits >> (part * (32 / parts))) as u32);
                }
            }
        }
    }
}

/// Multiplies two matrices. Products are exact in `f32`; the summation order of the hardware is undocumented.
fn multiply_f16(
    a: &[[f32; 16]; ROWS],
    b: &[[f32; COLUMNS]; 16],
    sums: &mut [[u32; COLUMNS]; ROWS],
) {
    for (sums, a) in sums.iter_mut().zip(a) {
        let mut row = sums.map(f32::from_bits);
        for (&a, b) in a.iter().zip(b) {
            for (sum, &b) in row.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
        *sums = row.map(f32::to_bits);
    }
}

fn multiply_int8(
    a: &[[i32; 32]; ROWS],
    b: &[[i32; COLUMNS]; 32],
    sums: &mut [[u32; COLUMNS]; ROWS],
) {
    for (sums, a) in sums.iter_mut().zip(a) {
        for (&a, b) in a.iter().zip(b) {
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = sum.wrapping_add((a * b) as u32);
            }
        }
    }
}
