//! Integer products with AMX: eight registers of 16 rows of 64 bytes, and an instruction that multiplies
//! two of them.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::mem::offset_of;
use std::sync::LazyLock;

use super::avx512::{PANEL, Vnni};
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::integers::IntegerUnit;

/// Integer products with AMX, or with AVX-512 VNNI where a tile is too small to gain from AMX.
#[derive(Clone, Copy)]
pub(crate) struct Amx;

/// Rows of a tile register.
const ROWS: usize = 16;
/// Bytes of a tile register's row.
const WIDTH: usize = 64;
/// Inputs of a group, whose weights are side by side.
const GROUP: usize = 4;
/// Groups that a tile register's row holds.
const GROUPS: usize = WIDTH / GROUP;

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
    fn new(upper: usize, lower: usize) -> Self {
        let [upper, lower, groups] = [upper, lower, GROUPS].map(|rows| rows as u8);
        let mut shapes =
            Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        shapes.rows[..8]
            .copy_from_slice(&[upper, upper, lower, lower, upper, lower, groups, groups]);
        for (bytes, rows) in shapes.row_bytes.iter_mut().zip(shapes.rows) {
            // A register without rows has no bytes either, or the configuration is refused.
            *bytes = if rows > 0 { WIDTH as u16 } else { 0 };
        }
        shapes
    }
}

/// `true` if the machine has the instructions and the system lets this process use them. The system requires
/// a request, because the registers enlarge the saved state of each thread by 8 KiB.
static IS_PERMITTED: LazyLock<bool> = LazyLock::new(|| {
    const TILES_AND_INT8: u32 = 1 << 24 | 1 << 25;
    let (leaf, last_leaf) = (7, __cpuid_count(0, 0).eax);
    last_leaf >= leaf
        && __cpuid_count(leaf, 0).edx & TILES_AND_INT8 == TILES_AND_INT8
        && request_permission()
});

#[cfg(target_os = "linux")]
fn request_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers. A kernel that does not know it returns an error.
    let result =
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) };
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn request_permission() -> bool {
    false
}

// SAFETY: `is_detected` asks the machine, and `multiply` stays within the operands.
unsafe impl IntegerUnit for Amx {
    const TILE_ROWS: usize = 2 * ROWS;

    fn is_detected() -> bool {
        Vnni::is_detected() && *IS_PERMITTED
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<u8, i8, i32>) {
        let &Operands { rows, steps, .. } = operands;
        if rows <= Vnni::TILE_ROWS {
            // For few rows, setting up the tile registers takes longer than it saves.
            // SAFETY: guaranteed by the caller; `Amx` is detected only where VNNI is.
            return unsafe { Vnni::multiply(operands) };
        }
        assert!(rows <= Self::TILE_ROWS, "the tile has too many rows");
        let whole = steps / GROUPS;
        if whole > 0 {
            // SAFETY: the machine has AMX (caller); of the operands' steps, `whole` times `GROUPS` are used.
            unsafe { multiply_tiles(operands, whole) };
        }
        let done = whole * GROUPS;
        if done == steps {
            return;
        }
        for first in (0..rows).step_by(Vnni::TILE_ROWS) {
            // SAFETY: rows from `first` on and steps from `done` on lie within the caller's valid operands, and the
            // machine has VNNI (caller).
            unsafe {
                Vnni::multiply(&Operands {
                    input: operands.input.add(first * operands.input_stride + done * GROUP),
                    rows: Vnni::TILE_ROWS.min(rows - first),
                    steps: steps - done,
                    panel: operands.panel.add(done * PANEL * GROUP),
                    output: operands.output.add(first * operands.output_stride),
                    accumulate: operands.accumulate || done > 0,
                    ..*operands
                });
            }
        }
    }
}

/// Values that [`multiply_tiles`] uses outside its loop. They are in memory because the loop needs the registers.
#[repr(C, align(64))]
struct Job {
    shapes: Shapes,
    output: *mut i32,
    /// In bytes.
    output_stride: usize,
    lower_output: *mut i32,
    /// Rows past the first 16.
    lower: usize,
    accumulate: usize,
}

/// Multiplies by the first `whole · GROUPS` steps of a panel. One iteration multiplies 64 inputs of 16 or 32 rows by
/// two blocks of 16 columns. All of it is one block of assembly, because the compiler does not know the tile registers.
///
/// # Safety
/// The machine has AMX and the process may use it; the operands have these steps, at least one, and at most 32 rows.
unsafe fn multiply_tiles(operands: &Operands<u8, i8, i32>, whole: usize) {
    const { assert!(PANEL == 2 * WIDTH / GROUP) };
    let upper = operands.rows.min(ROWS);
    let lower = operands.rows - upper;
    let job = Job {
        shapes: Shapes::new(upper, lower),
        output: operands.output,
        output_stride: operands.output_stride * size_of::<i32>(),
        lower_output: operands.output.wrapping_add(ROWS * operands.output_stride),
        lower,
        accumulate: operands.accumulate.into(),
    };
    // SAFETY: the tile registers are loaded from `upper` and `lower` rows of 64 inputs, `input_stride` apart,
    // and from 16 steps of a panel, `whole` times, all of which the operands have; and stored to runs of
    // `PANEL` sums in two halves, for which the output has room. A register without rows is not used.
    // Prefetches never fault. The registers are released: they are as the compiler has left them.
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
            // For every 64 inputs:
            "2:",
            "tileloadd tmm4, [{input} + {input_stride}]",
            "tileloadd tmm6, [{panel} + {step}]",
            "tileloadd tmm7, [{panel} + {step} + 64]",
            "tdpbusd tmm0, tmm4, tmm6",
            "tdpbusd tmm1, tmm4, tmm7",
            "cmp qword ptr [{job} + {LOWER}], 0",
            "je 3f",
            "tileloadd tmm5, [{lower_input} + {input_stride}]",
            "tdpbusd tmm2, tmm5, tmm6",
            "tdpbusd tmm3, tmm5, tmm7",
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
            "dec {whole}",
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
            OUTPUT = const offset_of!(Job, output),
            OUTPUT_STRIDE = const offset_of!(Job, output_stride),
            LOWER_OUTPUT = const offset_of!(Job, lower_output),
            LOWER = const offset_of!(Job, lower),
            ACCUMULATE = const offset_of!(Job, accumulate),
            job = in(reg) &raw const job,
            output = out(reg) _,
            output_stride = out(reg) _,
            input = inout(reg) operands.input => _,
            lower_input = inout(reg) operands.input.wrapping_add(ROWS * operands.input_stride) => _,
            input_stride = in(reg) operands.input_stride,
            panel = inout(reg) operands.panel => _,
            step = in(reg) PANEL * GROUP,
            ahead = inout(reg) operands.ahead => _,
            ahead_lines = in(reg) (operands.ahead_step * GROUPS).div_ceil(64),
            line = out(reg) _,
            whole = inout(reg) whole => _,
            options(nostack),
        );
    }
}
