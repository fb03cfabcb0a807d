//! The host's memory, which copies read and write.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// What each byte of fresh pinned memory is, so that what was never copied there is seen.
pub const FRESH: u8 = 0xA5;

const PAGE: usize = 4096;

/// Bytes at an address of the host's.
#[derive(Clone, Copy, Debug)]
pub struct HostRange {
    address: usize,
    pub len: usize,
}

impl HostRange {
    /// # Safety
    /// The host has so many bytes there, to be read or written as the copy does. It leaves them alone and
    /// keeps them until the call ends, and those in pinned memory until the copy is done.
    pub unsafe fn new(address: usize, len: usize) -> Self {
        Self { address, len }
    }

    pub fn read(self) -> Vec<u8> {
        // SAFETY: whoever made the range has promised that it can be read.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.len) }.to_vec()
    }

    pub fn write(self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.len);
        // SAFETY: whoever made the range has promised that it can be written; `bytes` are the driver's
        // own, so the two do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address as *mut u8, self.len);
        }
    }
}

/// Memory that the driver has allocated for the host: it can be copied to and from at any later time.
#[derive(Default)]
pub struct PinnedMemory {
    /// By the address.
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
        // SAFETY: so many bytes have just been allocated there.
        unsafe { start.write_bytes(FRESH, len) };
        self.layouts.insert(start as usize, layout);
        Ok(start as usize)
    }

    pub fn free(&mut self, address: usize) -> Result<()> {
        let layout = self.layouts.remove(&address).ok_or(Error::InvalidValue)?;
        // SAFETY: allocated with this layout, and no longer in the map, so freed once.
        unsafe { dealloc(address as *mut u8, layout) };
        Ok(())
    }

    /// Whether the bytes are pinned memory's. To begin in it and end outside is an error.
    pub fn contains(&self, range: HostRange) -> Result<bool> {
        let before = self.layouts.range(..=range.address).next_back();
        let Some((start, layout)) =
            before.filter(|(start, layout)| range.address - **start < layout.size())
        else {
            return Ok(false);
        };
        let end = (range.address - start).saturating_add(range.len);
        if end > layout.size() {
            let reason = "the bytes end outside the pinned memory that they begin in";
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

    /// It was pinned when the copy was asked for, and may be gone by now.
    fn check(&self, range: HostRange) -> Result<()> {
        if self.contains(range)? {
            Ok(())
        } else {
            Err(Error::IllegalAddress
                .because("pinned memory was freed before its copy was waited for"))
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
