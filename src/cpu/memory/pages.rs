//! [`Pages`]: memory for weights, in large pages where the system has them.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::cpu::memory::aligned::Plain;

/// The size of a large page on x86-64 and most aarch64.
const LARGE_PAGE: usize = 2 << 20;

/// Numbers in memory pages of their own, zero until they are written.
///
/// A short text reads all weights once and computes little, so memory bandwidth limits it. Pages of 4 KiB reduce the
/// bandwidth, since hardware prefetching stops at the end of each. Each also costs a page fault when it is first
/// written.
pub(crate) struct Pages<T> {
    memory: MmapMut,
    /// Bytes before the first number.
    start: usize,
    len: usize,
    numbers: PhantomData<T>,
}

impl<T: Plain> Pages<T> {
    /// Returns zeros.
    ///
    /// # Panics
    /// If the size overflows or the system is out of memory.
    pub fn zeroed(len: usize) -> Self {
        let bytes = len.checked_mul(size_of::<T>()).expect("capacity overflow");
        let spare = if bytes < LARGE_PAGE { 0 } else { LARGE_PAGE };
        // An empty mapping is an error.
        let memory = MmapMut::map_anon(bytes.checked_add(spare).expect("capacity overflow").max(1))
            .unwrap_or_else(|error| panic!("{bytes} bytes of memory for weights: {error}"));
        let start = match spare {
            0 => 0,
            spare => memory.as_ptr().align_offset(spare),
        };
        // Whole large pages only: one more would take memory past the numbers. A kernel without large pages rejects the
        // advice, which is harmless.
        #[cfg(target_os = "linux")]
        if spare > 0 {
            let whole = bytes - bytes % LARGE_PAGE;
            let _ = memory.advise_range(memmap2::Advice::HugePage, start, whole);
        }
        Self { memory, start, len, numbers: PhantomData }
    }
}

impl<T: Plain> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let bytes = &self.memory[self.start..][..self.len * size_of::<T>()];
        // SAFETY: these bytes hold `len` values, which begin on a page or a large one, so they are
        // aligned; every pattern of bits is a `T` (`Plain`).
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = &mut self.memory[self.start..][..self.len * size_of::<T>()];
        // SAFETY: as in `deref`, and `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_count_are_zero_aligned_and_writable() {
        let lens = [0, 1, 1000, LARGE_PAGE / 4, LARGE_PAGE / 4 + 1, 3 * LARGE_PAGE];
        // Miri has no `madvise`, which large pages need.
        for &len in &lens[..if cfg!(miri) { 3 } else { lens.len() }] {
            let mut pages = Pages::<f32>::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&value| value == 0.0));
            assert_eq!(pages.as_ptr() as usize % 4096, 0);
            pages.fill(1.0);
            assert!(pages.iter().all(|&value| value == 1.0));
        }
    }
}
