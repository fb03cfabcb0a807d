//! Products with AMX.

use std::arch::x86_64::__cpuid_count;
use std::sync::LazyLock;

use half::bf16;

use super::avx512::{PANEL, Vnni};
use super::tiles::{GROUPS, ROWS, Tiles, multiply_bf16, multiply_bytes};
use crate::cpu::gemm::tile::Operands;
use crate::cpu::simd::bfloat::Bf16Unit;
use crate::cpu::simd::integers::IntegerUnit;

/// Integer products with AMX, or with AVX-512 VNNI where a tile is too small to gain from AMX.
#[derive(Clone, Copy)]
pub(crate) struct Amx;

/// Products of bf16 with AMX. Unlike integers, they take its order of additions for any number of rows, so that a row
/// has the same bits in any batch.
#[derive(Clone, Copy)]
pub(crate) struct AmxBf16;

/// Inputs of a group of bytes.
const GROUP: usize = 4;

/// Features that the machine has and the system lets this process use.
struct Permitted {
    int8: bool,
    bf16: bool,
}

/// The system requires a request, because the registers enlarge the saved state of each thread by 8 KiB.
static PERMITTED: LazyLock<Permitted> = LazyLock::new(|| {
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    let (leaf, last_leaf) = (7, __cpuid_count(0, 0).eax);
    let features = if last_leaf >= leaf { __cpuid_count(leaf, 0).edx } else { 0 };
    let permitted = features & TILES != 0 && features & INT8 != 0 && request_permission();
    Permitted { int8: permitted, bf16: permitted && features & BF16 != 0 }
});

/// Returns `true` if this process may multiply tiles of bytes and of bf16.
#[cfg(all(test, target_os = "linux"))]
pub(super) fn may_use_bf16() -> bool {
    PERMITTED.bf16
}

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
    type Bf16 = AmxBf16;

    fn is_detected() -> bool {
        Vnni::is_detected() && PERMITTED.int8
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
            unsafe { multiply_bytes(&Tiles::new(operands, GROUPS, whole)) };
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

// SAFETY: `is_detected` asks the machine and the system, and `multiply` stays within the operands.
unsafe impl Bf16Unit for AmxBf16 {
    const TILE_ROWS: usize = 2 * ROWS;
    const GROUP: usize = 2;

    #[inline(always)]
    fn is_detected() -> bool {
        PERMITTED.bf16
    }

    #[inline(always)]
    unsafe fn multiply(operands: &Operands<bf16, bf16, f32>) {
        let &Operands { rows, steps, .. } = operands;
        assert!(rows <= Self::TILE_ROWS, "the tile has too many rows");
        let whole = steps / GROUPS;
        let done = whole * GROUPS;
        // SAFETY: the machine has AMX (caller); the parts have `whole` times `GROUPS` of the operands' steps, and the
        // others.
        unsafe {
            if whole > 0 {
                multiply_bf16(&Tiles::new(operands, GROUPS, whole));
            }
            if done < steps {
                let rest = Operands {
                    input: operands.input.add(done * Self::GROUP),
                    panel: operands.panel.add(done * PANEL * Self::GROUP),
                    accumulate: operands.accumulate || done > 0,
                    ..*operands
                };
                multiply_bf16(&Tiles::new(&rest, steps - done, 1));
            }
        }
    }
}
