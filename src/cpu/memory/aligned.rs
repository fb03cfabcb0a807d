//! A growable buffer of numbers that begins on a cache line.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use half::{bf16, f16};

const LINE: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([u8; LINE]);

/// Numbers without padding for which every pattern of bits is valid.
///
/// # Safety
/// The type is such a number, its alignment is at most a cache line's, and its size divides one.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: IEEE singles are such numbers, of four bytes.
unsafe impl Plain for f32 {}
// SAFETY: IEEE halves are such numbers, of two bytes.
unsafe impl Plain for f16 {}
// SAFETY: as for `f16`.
unsafe impl Plain for bf16 {}

// SAFETY: these integers are such numbers, of one byte.
unsafe impl Plain for i8 {}
// SAFETY: as for `i8`.
unsafe impl Plain for u8 {}
// SAFETY: these integers are such numbers, of four bytes.
unsafe impl Plain for i32 {}

/// Numbers that begin on a cache line, so that no vector load of packed weights straddles two.
pub(crate) struct AlignedVec<T = f32> {
    lines: Vec<CacheLine>,
    len: usize,
    numbers: PhantomData<T>,
}

impl<T> Default for AlignedVec<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), len: 0, numbers: PhantomData }
    }
}

impl<T: Plain> AlignedVec<T> {
    /// Returns zeros. The system provides large memory zeroed, and it is not touched until it is used.
    pub fn zeroed(len: usize) -> Self {
        let count = len.div_ceil(LINE / size_of::<T>());
        if count == 0 {
            return Self::default();
        }
        let layout = Layout::array::<CacheLine>(count).expect("capacity overflow");
        // SAFETY: the layout is not of size zero. What is allocated is zeroed, so `count` lines are
        // initialized, and the layout is that of a `Vec` of this capacity.
        let lines = unsafe {
            let start = alloc_zeroed(layout);
            if start.is_null() {
                handle_alloc_error(layout);
            }
            Vec::from_raw_parts(start.cast(), count, count)
        };
        Self { lines, len, numbers: PhantomData }
    }

    /// Makes room for `len` values and keeps the old ones. Values never exposed before are zero; others keep stale
    /// contents. Shrinking keeps the memory, so that a buffer sized once is never allocated again.
    pub fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(LINE / size_of::<T>());
        if lines > self.lines.len() {
            self.lines.reserve_exact(lines - self.lines.len());
            self.lines.resize(lines, CacheLine([0; LINE]));
        }
        self.len = len;
    }
}

impl<T: Plain> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines are one run of initialized bytes, aligned for `T`, and every pattern of
        // bits is a `T` (both by `Plain`); `resize` keeps `len` within them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_zeroed_on_a_cache_line_and_keeps_its_memory() {
        let mut vec = AlignedVec::<f32>::zeroed(3);
        vec.copy_from_slice(&[1.0, 2.0, 3.0]);
        vec.resize(100);
        assert_eq!(vec.as_ptr() as usize % 64, 0);
        assert_eq!(vec[..3], [1.0, 2.0, 3.0]);
        assert!(vec[3..].iter().all(|&value| value == 0.0));
        let at = vec.as_ptr();
        vec.resize(1);
        vec.resize(100);
        assert_eq!(vec.as_ptr(), at);
        assert!(AlignedVec::<f16>::zeroed(0).is_empty());
    }
}
