//! Device memory.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use super::error::{Fault, MemorySpace};

/// Buffers at addresses far from each other and from zero, so that no address that is off by less than
/// the gap lies in another buffer.
///
/// The blocks of a launch run in any order, as they do on the hardware, so what one of them has written
/// no other may read or write. Bytes are atomic for their sake, which costs nothing.
pub struct Memory {
    /// In the order of their addresses.
    buffers: Vec<Buffer>,
    next_address: u64,
}

struct Buffer {
    start: u64,
    bytes: Vec<AtomicU8>,
    /// Who has written each byte.
    writers: Vec<AtomicU32>,
}

/// `Buffer::writers` of bytes that nobody has written, or the host, or an earlier launch.
const NOBODY: u32 = 0;
const THE_PAST: u32 = 1;
const FIRST_BLOCK: u32 = 2;

const FIRST_ADDRESS: u64 = 0x7000_0000_0000;
/// As `cudaMalloc` aligns.
const ALIGNMENT: u64 = 256;
const GAP: u64 = 1 << 20;

impl Memory {
    pub fn new() -> Self {
        Self { buffers: Vec::new(), next_address: FIRST_ADDRESS }
    }

    /// The address of as many bytes, which must be written before they are read.
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        let start = self.next_address;
        self.buffers.push(Buffer {
            start,
            bytes: (0..bytes).map(|_| AtomicU8::new(0xff)).collect(),
            writers: (0..bytes).map(|_| AtomicU32::new(NOBODY)).collect(),
        });
        self.next_address = (start + bytes as u64 + GAP).next_multiple_of(ALIGNMENT);
        start
    }

    /// Allocates for these bytes, and writes them.
    pub fn allocate_with(&mut self, bytes: &[u8]) -> u64 {
        let address = self.allocate(bytes.len());
        self.write(address, bytes).expect("it has just been allocated");
        address
    }

    /// Frees what was allocated at this address.
    pub fn free(&mut self, address: u64) -> Result<(), Fault> {
        let index = self.buffers.binary_search_by_key(&address, |buffer| buffer.start);
        let outside = Fault::OutOfBounds { space: MemorySpace::Global, address, bytes: 0 };
        self.buffers.remove(index.map_err(|_| outside)?);
        Ok(())
    }

    /// By the host, at any alignment.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let (buffer, start) = self.find(address, bytes.len())?;
        for (index, &byte) in bytes.iter().enumerate() {
            buffer.bytes[start + index].store(byte, Relaxed);
            buffer.writers[start + index].store(THE_PAST, Relaxed);
        }
        Ok(())
    }

    /// By the host, at any alignment.
    pub fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; len];
        self.load_by(THE_PAST, address, &mut bytes)?;
        Ok(bytes)
    }

    /// By a thread of a block.
    pub(super) fn load(&self, block: u32, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        aligned(MemorySpace::Global, address, bytes.len())?;
        self.load_part(block, address, bytes)
    }

    /// By a thread of a block, which has checked the alignment.
    pub(super) fn load_part(
        &self,
        block: u32,
        address: u64,
        bytes: &mut [u8],
    ) -> Result<(), Fault> {
        self.load_by(FIRST_BLOCK + block, address, bytes)
    }

    /// By a thread of a block.
    pub(super) fn store(&self, block: u32, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        aligned(MemorySpace::Global, address, bytes.len())?;
        let (buffer, start) = self.find(address, bytes.len())?;
        let writers = &buffer.writers[start..start + bytes.len()];
        for (index, writer) in writers.iter().enumerate() {
            let earlier = writer.swap(FIRST_BLOCK + block, Relaxed);
            if earlier >= FIRST_BLOCK && earlier != FIRST_BLOCK + block {
                let address = address + index as u64;
                return Err(Fault::BlockRace { address, other: earlier - FIRST_BLOCK });
            }
        }
        for (to, &byte) in buffer.bytes[start..].iter().zip(bytes) {
            to.store(byte, Relaxed);
        }
        Ok(())
    }

    /// For the next launch, which may read and write all that this one has written.
    pub(super) fn end_launch(&mut self) {
        for writer in self.buffers.iter_mut().flat_map(|buffer| &mut buffer.writers) {
            *writer.get_mut() = (*writer.get_mut()).min(THE_PAST);
        }
    }

    fn load_by(&self, reader: u32, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let (buffer, start) = self.find(address, bytes.len())?;
        let writers = &buffer.writers[start..start + bytes.len()];
        for (index, writer) in writers.iter().enumerate() {
            let writer = writer.load(Relaxed);
            let address = address + index as u64;
            if writer == NOBODY {
                return Err(Fault::Uninitialised { space: MemorySpace::Global, address });
            }
            if writer >= FIRST_BLOCK && writer != reader {
                return Err(Fault::BlockRace { address, other: writer - FIRST_BLOCK });
            }
        }
        for (to, byte) in bytes.iter_mut().zip(&buffer.bytes[start..]) {
            *to = byte.load(Relaxed);
        }
        Ok(())
    }

    /// The buffer that has all these bytes, and the place of the first in it.
    fn find(&self, address: u64, bytes: usize) -> Result<(&Buffer, usize), Fault> {
        let after = self.buffers.partition_point(|buffer| buffer.start <= address);
        let buffer = after.checked_sub(1).map(|index| &self.buffers[index]);
        buffer
            .map(|buffer| (buffer, (address - buffer.start) as usize))
            .filter(|(buffer, start)| start.saturating_add(bytes) <= buffer.bytes.len())
            .ok_or(Fault::OutOfBounds { space: MemorySpace::Global, address, bytes })
    }
}

/// Checks that an access of so many bytes, a power of two, is aligned to them.
pub fn aligned(space: MemorySpace, address: u64, bytes: usize) -> Result<(), Fault> {
    if address.is_multiple_of(bytes as u64) {
        Ok(())
    } else {
        Err(Fault::Misaligned { space, address, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: MemorySpace = MemorySpace::Global;

    #[test]
    fn what_is_written_is_read() {
        let mut memory = Memory::new();
        let buffers: Vec<_> = (1u8..5).map(|index| memory.allocate_with(&[index; 7])).collect();
        memory.free(buffers[1]).unwrap();
        assert_eq!(memory.read(buffers[2], 7), Ok(vec![3; 7]));
        let gone = Fault::OutOfBounds { space: SPACE, address: buffers[1], bytes: 1 };
        assert_eq!(memory.read(buffers[1], 1), Err(gone));
    }

    #[test]
    fn every_access_is_checked() {
        let mut memory = Memory::new();
        let start = memory.allocate(32);
        memory.write(start, &[1; 16]).unwrap();
        let load = |address, bytes: usize| memory.load(0, address, &mut vec![0; bytes]);
        assert_eq!(load(start, 16), Ok(()));
        let address = start + 2;
        let expected = Fault::Misaligned { space: SPACE, address, bytes: 4 };
        assert_eq!(load(address, 4), Err(expected));
        let expected = Fault::Uninitialised { space: SPACE, address: start + 16 };
        assert_eq!(load(start + 16, 4), Err(expected));
        for address in [0, start - 4, start + 32, u64::MAX - 3] {
            let expected = Fault::OutOfBounds { space: SPACE, address, bytes: 4 };
            assert_eq!(load(address, 4), Err(expected.clone()));
            assert_eq!(memory.store(0, address, &[0; 4]), Err(expected));
        }
    }

    #[test]
    fn blocks_must_not_meet() {
        let mut memory = Memory::new();
        let start = memory.allocate_with(&[1; 16]);
        memory.store(3, start + 4, &[2; 4]).unwrap();
        assert_eq!(memory.load(3, start, &mut [0; 16]), Ok(()));
        let race = Fault::BlockRace { address: start + 4, other: 3 };
        assert_eq!(memory.load(4, start, &mut [0; 16]), Err(race.clone()));
        assert_eq!(memory.store(4, start + 4, &[2; 4]), Err(race));
        memory.end_launch();
        assert_eq!(memory.load(4, start, &mut [0; 16]), Ok(()));
    }
}
