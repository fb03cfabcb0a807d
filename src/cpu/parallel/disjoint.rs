//! Disjoint mutable access to one slice from several threads.

use std::marker::PhantomData;
use std::ops::Range;

/// A slice that tasks write to in parts which do not overlap.
pub(crate) struct Parts<'a, T = f32> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a `Parts` gives out nothing but slices of values that may be sent, and only through `part`,
// whose caller keeps them apart.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub fn new(values: &'a mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), borrow: PhantomData }
    }

    /// Where a value would be; it need not be in the slice.
    pub fn address(&self, index: usize) -> *const T {
        self.start.wrapping_add(index)
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No two parts that are held at the same time overlap.
    #[expect(clippy::mut_from_ref, reason = "that is the point: the caller keeps the parts apart")]
    #[inline(always)]
    pub unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "the part reaches past the slice"
        );
        // SAFETY: the range lies in the slice, which is borrowed alone for `'a`; the caller holds
        // no other part that overlaps it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
