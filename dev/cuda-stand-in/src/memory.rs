//! Device memory of limited size.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::settings::SETTINGS;
use ptx_machine::Memory;

/// Granularity of allocations, as in the driver.
const GRANULE: usize = 512;

pub struct DeviceMemory {
    pub bytes: Memory,
    /// Size of each allocation, by address.
    sizes: BTreeMap<u64, usize>,
    /// Allocations whose release is queued, which must not be freed again.
    doomed: Vec<u64>,
    used: usize,
}

impl DeviceMemory {
    /// Creates the memory of a device. Devices have disjoint address ranges.
    pub fn of(device: usize) -> Self {
        let bytes = Memory::starting_at((device as u64 + 1) << 44);
        Self { bytes, sizes: BTreeMap::new(), doomed: Vec::new(), used: 0 }
    }

    pub fn free_bytes(&self) -> usize {
        SETTINGS.memory - self.used
    }

    pub fn allocate(&mut self, len: usize) -> Result<u64> {
        if len == 0 {
            return Err(Error::InvalidValue);
        }
        let taken = len.checked_next_multiple_of(GRANULE).ok_or(Error::OutOfMemory)?;
        if taken > self.free_bytes() {
            return Err(Error::OutOfMemory);
        }
        let address = self.bytes.allocate(len);
        self.used += taken;
        self.sizes.insert(address, taken);
        Ok(address)
    }

    /// Marks an address as about to be freed, at most once.
    pub fn doom(&mut self, address: u64) -> Result<()> {
        if !self.sizes.contains_key(&address) || self.doomed.contains(&address) {
            return Err(Error::InvalidValue
                .because("the freed address is not an allocation, or has already been freed"));
        }
        self.doomed.push(address);
        Ok(())
    }

    /// Frees an address that is marked.
    pub fn free(&mut self, address: u64) -> Result<()> {
        self.doomed.retain(|&doomed| doomed != address);
        self.used -= self.sizes.remove(&address).ok_or(Error::InvalidValue)?;
        Ok(self.bytes.free(address)?)
    }
}
