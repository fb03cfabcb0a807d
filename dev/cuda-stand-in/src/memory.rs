//! Device memory of limited size.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::settings::SETTINGS;
use ptx_machine::Memory;

/// As the driver rounds what is asked for.
const GRANULE: usize = 512;

pub struct DeviceMemory {
    pub bytes: Memory,
    /// What each address takes, until it is freed.
    sizes: BTreeMap<u64, usize>,
    /// Those whose freeing is queued, which must not be freed again.
    doomed: Vec<u64>,
    used: usize,
}

impl DeviceMemory {
    /// The addresses of one device are none of another's.
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

    /// Notes that the address is to be freed, once.
    pub fn doom(&mut self, address: u64) -> Result<()> {
        if !self.sizes.contains_key(&address) || self.doomed.contains(&address) {
            return Err(
                Error::InvalidValue.because("what is freed is no allocation, or freed already")
            );
        }
        self.doomed.push(address);
        Ok(())
    }

    /// Frees what is doomed.
    pub fn free(&mut self, address: u64) -> Result<()> {
        self.doomed.retain(|&doomed| doomed != address);
        self.used -= self.sizes.remove(&address).ok_or(Error::InvalidValue)?;
        Ok(self.bytes.free(address)?)
    }
}
