//! What a device says of itself: an A100, but for what is set.

use crate::error::{Error, Result};
use crate::settings::SETTINGS;

pub const NAME: &str = "PTX machine";

/// The most bytes of shared memory that a block gets without asking.
pub const SHARED_BYTES: usize = 48 << 10;

/// And those that it gets if the function asks.
pub fn most_shared_bytes() -> usize {
    let kib = match SETTINGS.capability {
        (..=7, _) => 64,
        (8, 0 | 7) => 163,
        (8, _) => 99,
        _ => 227,
    };
    kib << 10
}

pub fn check(ordinal: i32) -> Result<usize> {
    if (0..SETTINGS.devices).contains(&ordinal) {
        Ok(ordinal as usize)
    } else {
        Err(Error::InvalidDevice)
    }
}

/// By the numbers of `CUdevice_attribute`.
pub fn attribute(number: u32) -> Result<i32> {
    let (major, minor) = SETTINGS.capability;
    Ok(match number {
        // Threads of a block: all, and along x, y and z.
        1..=3 => 1024,
        4 => 64,
        // Blocks along x, y and z.
        5 => i32::MAX,
        6 | 7 => 65535,
        8 => SHARED_BYTES as i32,
        // Lanes of a warp.
        10 => 32,
        // Registers of a block.
        12 => 65536,
        // Cores in kHz.
        13 => 1_410_000,
        // Multiprocessors.
        16 => 108,
        // No limit to a kernel's time; not a part of the host's chip.
        17 | 18 => 0,
        // Memory in kHz, and the width of its bus in bits.
        36 => 1_215_000,
        37 => 5120,
        // Bytes of the second cache.
        38 => 40 << 20,
        // Threads of a multiprocessor.
        39 => 2048,
        75 => major,
        76 => minor,
        // Bytes of shared memory of a multiprocessor, its registers, and bytes of a block that asks.
        81 => most_shared_bytes() as i32 + 1024,
        82 => 65536,
        97 => most_shared_bytes() as i32,
        // Has `cuMemAllocAsync`.
        115 => 1,
        _ => {
            let reason = format_args!("the device attribute {number} is not modelled");
            return Err(Error::InvalidValue.because(reason));
        }
    })
}
