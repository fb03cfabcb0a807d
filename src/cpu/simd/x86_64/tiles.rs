//! The loop over AMX's tile registers: eight registers of 16 rows of 64 bytes, and an instruction that multiplies two of
//! them. Bytes in groups of four and bf16 in pairs differ only in the instruction.

use std::arch::asm;
use std::mem::offset_of;

use super::avx512::PANEL;
use crate::cpu::gemm::tile::Operands;

/// Rows of a tile register.
pub(super) const ROWS: usize = 16;
/// Bytes of a tile register's row.
const WIDTH: usize = 64;
/// Bytes of a group of inputs, whose weights are side by side, and of a sum.
const GROUP_BYTES: usize = 4;
/// Groups that a tile register's row holds.
pub(super) const GROUPS: usize = WIDTH / GROUP_BYTES;

/// Operand of `ldtilecfg`: the shape of each tile register.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// Registers 0 to 3 are sums, 4 and 5 the upper and lower rows of the input, 6 and 7 the left and right
    /// columns of a panel.
    fn new(upper: usize, lower: usize, groups: usize) -> Self {
        let [upper, lower, steps] = [upper, lower, groups].map(|rows| rows as u8);
        let mut shapes =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        shapes.rows[..8].copy_from_slice(&[upper, upper, lower, lower, upper, lower, steps, steps]);
        for (register, (bytes, rows)) in shapes.row_bytes.iter_mut().zip(shapes.rows).enumerate() {
            let width = if matches!(register, 4 | 5) { groups * GROUP_BYTES } else { WIDTH };
            // A register without rows has no bytes either, or the configuration is refused.
            *bytes = if rows > 0 { width as u16 } else { 0 };
        }
        shapes
    }
}

/// Operands of the loop. Some are only used outside it, and are in memory because the loop needs the registers.
#[repr(C, align(64))]
pub(super) struct Tiles {
    shapes: Shapes,
    output: *mut u8,
    /// In bytes, as all strides here.
    output_stride: usize,
    lower_output: *mut u8,
    /// Rows past the first 16.
    lower: usize,
    accumulate: usize,
    input: *const u8,
    lower_input: *const u8,
    input_stride: usize,
    panel: *const u8,
    ahead: *const u8,
    ahead_lines: usize,
    /// Iterations, each of `groups` groups.
    count: usize,
}

impl Tiles {
    /// Takes the first `count · groups` steps of a tile; `groups` is at most [`GROUPS`].
    pub fn new<A, W, S>(operands: &Operands<A, W, S>, groups: usize, count: usize) -> Self {
        const { assert!(PANEL == 2 * WIDTH / GROUP_BYTES && size_of::<S>() == GROUP_BYTES) };
        let upper = operands.rows.min(ROWS);
        let lower = operands.rows - upper;
        Self {
            shapes: Shapes::new(upper, lower, groups),
            output: operands.output.cast(),
            output_stride: operands.output_stride * size_of::<S>(),
            lower_output: operands.output.wrapping_add(ROWS * operands.output_stride).cast(),
            lower,
            accumulate: operands.accumulate.into(),
            input: operands.input.cast(),
            lower_input: operands.input.wrapping_add(ROWS * operands.input_stride).cast(),
            input_stride: operands.input_stride * size_of::<A>(),
            panel: operands.panel.cast(),
            ahead: operands.ahead,
            ahead_lines: (operands.ahead_step * groups).div_ceil(64),
            count,
        }
    }
}

/// Defines a function that multiplies tiles by an instruction. One iteration multiplies up to 64 bytes of 16 or 32 rows
/// by two blocks of 16 columns. All of it is one block of assembly, because the compiler does not know the tile
/// registers.
macro_rules! multiply_tiles {
    ($(#[$attribute:meta])* $name:ident, $product:literal) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// The machine has the instruction and the process may use it; `tiles` is of operands that have its steps, at
        /// least one, in groups of four bytes, and at most 32 rows.
        pub(super) unsafe fn $name(tiles: &Tiles) {
            // SAFETY: the tile registers are loaded from `upper` and `lower` rows of `groups` groups, `input_stride`
            // apart, and from `groups` steps of a panel, `count` times, all of which the operands have. They are stored
            // to runs of `PANEL` sums in two halves, for which the output has room. A register without rows is not
            // used. Prefetches never fault. The registers are released: they are as the compiler left them.
            unsafe {
                asm!(
                    "ldtilecfg [{job}]",
                    "mov {output}, [{job} + {OUTPUT}]",
                    "mov {output_stride}, [{job} + {OUTPUT_STRIDE}]",
                    "cmp qword ptr [{job} + {ACCUMULATE}], 0",
                    "je 2f",
                    "tileloadd tmm0, [{output} + {output_stride}]",
                    "tileloadd tmm1, [{output} + {output_stride} + 64]",
                    "cmp qword ptr [{job} + {LOWER}], 0",
                    "je 2f",
                    "mov {line}, [{job} + {LOWER_OUTPUT}]",
                    "tileloadd tmm2, [{line} + {output_stride}]",
                    "tileloadd tmm3, [{line} + {output_stride} + 64]",
                    // For every 64 bytes of inputs:
                    "2:",
                    "tileloadd tmm4, [{input} + {input_stride}]",
                    "tileloadd tmm6, [{panel} + {step}]",
                    "tileloadd tmm7, [{panel} + {step} + 64]",
                    concat!($product, " tmm0, tmm4, tmm6"),
                    concat!($product, " tmm1, tmm4, tmm7"),
                    "cmp qword ptr [{job} + {LOWER}], 0",
                    "je 3f",
                    "tileloadd tmm5, [{lower_input} + {input_stride}]",
                    concat!($product, " tmm2, tmm5, tmm6"),
                    concat!($product, " tmm3, tmm5, tmm7"),
                    "add {lower_input}, 64",
                    "3:",
                    "add {input}, 64",
                    "add {panel}, 2048",
                    "mov {line}, {ahead_lines}",
                    "4:",
                    "prefetcht1 [{ahead}]",
                    "add {ahead}, 64",
                    "dec {line}",
                    "jg 4b",
                    "dec {count}",
                    "jnz 2b",
                    "tilestored [{output} + {output_stride}], tmm0",
                    "tilestored [{output} + {output_stride} + 64], tmm1",
                    "cmp qword ptr [{job} + {LOWER}], 0",
                    "je 5f",
                    "mov {line}, [{job} + {LOWER_OUTPUT}]",
                    "tilestored [{line} + {output_stride}], tmm2",
                    "tilestored [{line} + {output_stride} + 64], tmm3",
                    "5:",
                    "tilerelease",
                    OUTPUT = const offset_of!(Tiles, output),
                    OUTPUT_STRIDE = const offset_of!(Tiles, output_stride),
                    LOWER_OUTPUT = const offset_of!(Tiles, lower_output),
                    LOWER = const offset_of!(Tiles, lower),
                    ACCUMULATE = const offset_of!(Tiles, accumulate),
                    job = in(reg) std::ptr::from_ref(tiles),
                    output = out(reg) _,
                    output_stride = out(reg) _,
                    input = inout(reg) tiles.input => _,
                    lower_input = inout(reg) tiles.lower_input => _,
                    input_stride = in(reg) tiles.input_stride,
                    panel = inout(reg) tiles.panel => _,
                    step = in(reg) PANEL * GROUP_BYTES,
                    ahead = inout(reg) tiles.ahead => _,
                    ahead_lines = in(reg) tiles.ahead_lines,
                    line = out(reg) _,
                    count = inout(reg) tiles.count => _,
                    options(nostack),
                );
            }
        }
    };
}

multiply_tiles! {
    /// Multiplies bytes in groups of four.
    multiply_bytes, "tdpbusd"
}

multiply_tiles! {
    /// Multiplies bf16 in pairs.
    ///
    /// The instruction sums the first products of all pairs of a row, and the second ones, and adds both sums to the
    /// output. It takes denormals as zero, flushes sums to zero, and rounds to nearest.
    multiply_bf16, "tdpbf16ps"
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
