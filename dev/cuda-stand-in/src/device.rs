//! Attributes of a device: an A100, except for what the settings change.

use crate::error::{Error, Result};
use crate::settings::SETTINGS;

pub const NAME: &str = "PTX machine";

/// Maximum bytes of shared memory of a block by default.
pub const SHARED_BYTES: usize = 48 << 10;

/// Returns the maximum bytes of shared memory of a block that opts in.
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

/// Returns an attribute by its number in `CUdevice_attribute`.
pub fn attribute(number: u32) -> Result<i32> {
    let (major, minor) = SETTINGS.capability;
    Ok(match number {
        // Threads of a block: total, and along x, y and z.
        1..=3 => 1024,
        4 => 64,
        // Blocks along x, y and z.
        5 => i32::MAX,
        6 | 7 => 65535,
        8 => SHARED_BYTES as i32,
        // Warp size.
        10 => 32,
        // Registers per block.
        12 => 65536,
        // Core clock in kHz.
        13 => 1_410_000,
        // Multiprocessors.
        16 => 108,
        // No time limit of kernels; not integrated.
        17 | 18 => 0,
        // Memory clock in kHz and bus width in bits.
        36 => 1_215_000,
        37 => 5120,
        // Bytes of L2 cache.
        38 => 40 << 20,
        // Threads per multiprocessor.
        39 => 2048,
        75 => major,
        76 => minor,
        // Bytes of shared memory per multiprocessor, its registers, and bytes of shared memory of a block that opts in.
        81 => most_shared_bytes() as i32 + 1024,
        82 => 65536,
        97 => most_shared_bytes() as i32,
        // Supports `cuMemAllocAsync`.
        115 => 1,
        _ => {
            let reason = format_args!("the device attribute {number} is not modeled");
            return Err(Error::InvalidValue.because(reason));
        }
    })
}
