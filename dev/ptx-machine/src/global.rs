//! Device memory.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use super::error::{Fault, MemorySpace};

/// Buffers at addresses far from each other and from zero, so that an address that is off by less than the gap is in no
/// buffer.
///
/// The blocks of a launch run in any order, as on hardware, so no block may access bytes that another one wrote. Bytes are
/// atomic because blocks run concurrently, which costs nothing.
pub struct Memory {
    /// Buffers in address order.
    buffers: Vec<Buffer>,
    next_address: u64,
}

struct Buffer {
    start: u64,
    bytes: Vec<AtomicU8>,
    /// Writer of each byte.
    writers: Vec<AtomicU32>,
    /// `true` if blocks of the current launch are among the writers.
    has_blocks: AtomicBool,
}

/// Values of `Buffer::writers` for bytes that are uninitialized, or written by the host or an earlier launch.
const NOBODY: u32 = 0;
const THE_PAST: u32 = 1;
const FIRST_BLOCK: u32 = 2;

const FIRST_ADDRESS: u64 = 0x7000_0000_0000;
/// Alignment of allocations, as in `cudaMalloc`.
const ALIGNMENT: u64 = 256;
const GAP: u64 = 1 << 20;

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    pub fn new() -> Self {
        Self::starting_at(FIRST_ADDRESS)
    }

    /// Creates memory whose addresses start at `first_address`.
    pub fn starting_at(first_address: u64) -> Self {
        Self { buffers: Vec::new(), next_address: first_address }
    }

    /// Allocates uninitialized bytes and returns their address.
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        let start = self.next_address;
        self.buffers.push(Buffer {
            start,
            bytes: (0..bytes).map(|_| AtomicU8::new(0xff)).collect(),
            writers: (0..bytes).map(|_| AtomicU32::new(NOBODY)).collect(),
            has_blocks: AtomicBool::new(false),
        });
        self.next_address = (start + bytes as u64 + GAP).next_multiple_of(ALIGNMENT);
        start
    }

    /// Allocates memory and copies the bytes to it.
    pub fn allocate_with(&mut self, bytes: &[u8]) -> u64 {
        let address = self.allocate(bytes.len());
        self.write(address, bytes).expect("the memory has just been allocated");
        address
    }

    /// Frees the allocation at an address.
    pub fn free(&mut self, address: u64) -> Result<(), Fault> {
        let index = self.buffers.binary_search_by_key(&address, |buffer| buffer.start);
        let outside = Fault::OutOfBounds { space: MemorySpace::Global, address, bytes: 0 };
        self.buffers.remove(index.map_err(|_| outside)?);
        Ok(())
    }

    /// Writes on behalf of the host, at any alignment.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let (index, start) = self.find(address, bytes.len())?;
        let buffer = &mut self.buffers[index];
        for (to, &byte) in buffer.bytes[start..].iter_mut().zip(bytes) {
            *to.get_mut() = byte;
        }
        for writer in &mut buffer.writers[start..start + bytes.len()] {
            *writer.get_mut() = THE_PAST;
        }
        Ok(())
    }

    /// Reads on behalf of the host, at any alignment.
    pub fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; len];
        self.load_by(THE_PAST, address, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads on behalf of a thread of a block.
    pub fn load(&self, block: u32, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        aligned(MemorySpace::Global, address, bytes.len())?;
        self.load_part(block, address, bytes)
    }

    /// Reads on behalf of a thread of a block, which has checked the alignment.
    pub fn load_part(&self, block: u32, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        self.load_by(FIRST_BLOCK + block, address, bytes)
    }

    /// Writes on behalf of a thread of a block.
    pub fn store(&self, block: u32, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        aligned(MemorySpace::Global, address, bytes.len())?;
        let (index, start) = self.find(address, bytes.len())?;
        let buffer = &self.buffers[index];
        if !buffer.has_blocks.load(Relaxed) {
            buffer.has_blocks.store(true, Relaxed);
        }
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

    /// Ends a launch: the next one may access everything that this one wrote. Skips buffers that were only read, such as
    /// weights.
    pub fn end_launch(&mut self) {
        for buffer in &mut self.buffers {
            if std::mem::take(buffer.has_blocks.get_mut()) {
                for writer in &mut buffer.writers {
                    *writer.get_mut() = (*writer.get_mut()).min(THE_PAST);
                }
            }
        }
    }

    fn load_by(&self, reader: u32, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let (index, start) = self.find(address, bytes.len())?;
        let buffer = &self.buffers[index];
        let writers = &buffer.writers[start..start + bytes.len()];
        for (index, writer) in writers.iter().enumerate() {
            let writer = writer.load(Relaxed);
            let address = address + index as u64;
            if writer == NOBODY {
                return Err(Fault::Uninitialized { space: MemorySpace::Global, address });
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

    /// Returns the index of the buffer that contains all these bytes, and the offset of the first.
    fn find(&self, address: u64, bytes: usize) -> Result<(usize, usize), Fault> {
        let after = self.buffers.partition_point(|buffer| buffer.start <= address);
        after
            .checked_sub(1)
            .map(|index| (index, (address - self.buffers[index].start) as usize))
            .filter(|&(index, start)| {
                start.saturating_add(bytes) <= self.buffers[index].bytes.len()
            })
            .ok_or(Fault::OutOfBounds { space: MemorySpace::Global, address, bytes })
    }
}

/// Checks the alignment of an access, whose size is a power of two.
pub fn aligned(space: MemorySpace, address: u64, bytes: usize) -> Result<(), Fault> {
    if address.is_multiple_of(bytes as u64) {
        Ok(())
    } else {
        Err(Fault::Misaligned { space, address, bytes })
    }
}
