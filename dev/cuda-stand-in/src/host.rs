//! Host memory, which copies read and write.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Value of every byte of fresh pinned memory, which reveals missing copies.
pub const FRESH: u8 = 0xA5;

const PAGE: usize = 4096;

/// Range of bytes in host memory.
#[derive(Clone, Copy, Debug)]
pub struct HostRange {
    address: usize,
    pub len: usize,
}

impl HostRange {
    /// # Safety
    /// The bytes must be valid for reads or writes, whichever the copy does, and not be accessed otherwise until the call
    /// returns. The source of a copy, and pinned bytes, must stay valid until the copy has run.
    pub unsafe fn new(address: usize, len: usize) -> Self {
        Self { address, len }
    }

    pub fn read(self) -> Vec<u8> {
        // SAFETY: the creator of the range guarantees that it is readable.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.len) }.to_vec()
    }

    pub fn write(self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.len);
        // SAFETY: the creator of the range guarantees that it is writable; `bytes` belong to the driver, so the two don't overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address as *mut u8, self.len);
        }
    }
}

/// Pinned memory, which the driver has allocated for the host and which can be copied to and from at any later time.
#[derive(Default)]
pub struct PinnedMemory {
    /// Allocations by address.
    layouts: BTreeMap<usize, Layout>,
}

impl PinnedMemory {
    pub fn allocate(&mut self, len: usize) -> Result<usize> {
        if len == 0 {
            return Err(Error::InvalidValue);
        }
        let layout = Layout::from_size_align(len, PAGE).map_err(|_| Error::InvalidValue)?;
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return Err(Error::OutOfMemory);
        }
        // SAFETY: the bytes have just been allocated.
        unsafe { start.write_bytes(FRESH, len) };
        self.layouts.insert(start as usize, layout);
        Ok(start as usize)
    }

    pub fn free(&mut self, address: usize) -> Result<()> {
        let layout = self.layouts.remove(&address).ok_or(Error::InvalidValue)?;
        // SAFETY: allocated with this layout, and removed from the map, so freed only once.
        unsafe { dealloc(address as *mut u8, layout) };
        Ok(())
    }

    /// Returns `true` if the bytes are pinned. A range that starts in pinned memory and ends outside is an error.
    pub fn contains(&self, range: HostRange) -> Result<bool> {
        let before = self.layouts.range(..=range.address).next_back();
        let Some((start, layout)) =
            before.filter(|(start, layout)| range.address - **start < layout.size())
        else {
            return Ok(false);
        };
        let end = (range.address - start).saturating_add(range.len);
        if end > layout.size() {
            let reason = "the range extends beyond the pinned memory in which it starts";
            return Err(Error::InvalidValue.because(reason));
        }
        Ok(true)
    }

    pub fn read(&self, range: HostRange) -> Result<Vec<u8>> {
        self.check(range)?;
        Ok(range.read())
    }

    pub fn write(&self, range: HostRange, bytes: &[u8]) -> Result<()> {
        self.check(range)?;
        range.write(bytes);
        Ok(())
    }

    /// Checks that memory which was pinned when the copy was queued has not been freed since.
    fn check(&self, range: HostRange) -> Result<()> {
        if self.contains(range)? {
            Ok(())
        } else {
            Err(Error::IllegalAddress.because("pinned memory was freed before its copy had run"))
        }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        for (&address, &layout) in &self.layouts {
            // SAFETY: allocated with this layout and not freed.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }
}
