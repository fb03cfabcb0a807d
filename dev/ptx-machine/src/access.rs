//! Loads and stores.

use super::error::{Fault, MemorySpace, Stop};
use super::global::aligned;
use super::instruction::{Address, LANES, Register, Source, Space};
use super::types::Type;
use super::warp::{Surroundings, Warp, extend, from_bytes, lanes};

/// Maximum number of bytes that a thread loads or stores at once.
const WIDEST: usize = 16;

impl Warp {
    /// Returns the address in each lane.
    pub fn addresses(&self, address: Address, around: &Surroundings) -> [u64; LANES] {
        self.values(address.base, around).map(|base| base.wrapping_add(address.offset))
    }

    pub fn load(
        &mut self,
        space: Space,
        of: Type,
        destinations: &[Register],
        address: Address,
        active: u32,
        around: &mut Surroundings,
    ) -> Result<(), Stop> {
        let addresses = self.addresses(address, around);
        let bytes = of.bytes() * destinations.len();
        let mut buffer = [0; WIDEST];
        let buffer = &mut buffer[..bytes];
        for lane in lanes(active) {
            let address = addresses[lane];
            let result = match space {
                Space::Global => {
                    around.counts.global_access(bytes, false);
                    around.memory.load(around.geometry.block_number, address, buffer)
                }
                Space::Shared => around.shared.load(self.user(lane), address, buffer),
                Space::Parameters => load_parameter(around.parameters, address, buffer),
            };
            result.map_err(|fault| fault.in_lane(lane))?;
            for (&register, value) in destinations.iter().zip(buffer.chunks(of.bytes())) {
                self.registers[register][lane] = extend(of, from_bytes(value));
            }
        }
        if space == Space::Shared {
            count_shared(&addresses, bytes, active, around);
        }
        Ok(())
    }

    pub fn store(
        &mut self,
        space: Space,
        of: Type,
        sources: &[Source],
        address: Address,
        active: u32,
        around: &mut Surroundings,
    ) -> Result<(), Stop> {
        let addresses = self.addresses(address, around);
        let bytes = of.bytes() * sources.len();
        let mut values = [[0; LANES]; 4];
        for (values, &source) in values.iter_mut().zip(sources) {
            *values = self.values(source, around);
        }
        let mut buffer = [0; WIDEST];
        let buffer = &mut buffer[..bytes];
        for lane in lanes(active) {
            for (part, values) in buffer.chunks_mut(of.bytes()).zip(&values) {
                part.copy_from_slice(&values[lane].to_le_bytes()[..of.bytes()]);
            }
            let result = if space == Space::Shared {
                around.shared.store(self.user(lane), addresses[lane], buffer)
            } else {
                around.counts.global_access(bytes, true);
                around.memory.store(around.geometry.block_number, addresses[lane], buffer)
            };
            result.map_err(|fault| fault.in_lane(lane))?;
        }
        if space == Space::Shared {
            count_shared(&addresses, bytes, active, around);
        }
        Ok(())
    }
}

/// Counts an access of the active lanes to shared memory.
pub fn count_shared(
    addresses: &[u64; LANES],
    bytes: usize,
    active: u32,
    around: &mut Surroundings,
) {
    let mut used = [0; LANES];
    let mut count = 0;
    for lane in lanes(active) {
        used[count] = addresses[lane] as usize;
        count += 1;
    }
    around.counts.shared_access(&used[..count], bytes);
}

fn load_parameter(parameters: &[u8], address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
    let space = MemorySpace::Parameters;
    aligned(space, address, bytes.len())?;
    let end = address.saturating_add(bytes.len() as u64);
    match parameters.get(address as usize..end as usize) {
        Some(found) => bytes.copy_from_slice(found),
        None => return Err(Fault::OutOfBounds { space, address, bytes: bytes.len() }),
    }
    Ok(())
}
