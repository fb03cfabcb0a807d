//! Disjoint mutable access to shared buffers from several threads.
//!
//! A [`Split`] says which part of a buffer belongs to which task. The leader of a team hands each part out once,
//! so that tasks need no unsafe code.

use std::marker::PhantomData;
use std::ops::Range;

#[cfg(feature = "explain")]
use crate::cpu::sequences::Sequences;

/// A slice of which several threads may hold parts that do not overlap.
pub(crate) struct DisjointMut<'a, T> {
    pub(super) start: *mut T,
    pub(super) len: usize,
    pub(super) borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a `DisjointMut` gives access to nothing but values that may be sent, and only through unsafe functions,
// whose callers keep the parts disjoint.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}

// SAFETY: as above.
unsafe impl<T: Send> Send for DisjointMut<'_, T> {}

impl<'a, T> DisjointMut<'a, T> {
    pub fn new(values: &'a mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), borrow: PhantomData }
    }

    /// Returns a part of the slice.
    ///
    /// # Panics
    /// If the range reaches past the slice.
    ///
    /// # Safety
    /// No two parts that are alive at the same time overlap.
    #[inline(always)]
    pub unsafe fn slice(&self, range: Range<usize>) -> &'a mut [T] {
        let Range { start, end } = range;
        assert!(start <= end && end <= self.len, "the part reaches past the slice");
        // SAFETY: the range lies in the slice, which is borrowed exclusively for `'a`; the caller keeps the parts
        // disjoint.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), end - start) }
    }

    /// Returns one value.
    ///
    /// # Panics
    /// If the index is past the slice.
    ///
    /// # Safety
    /// The condition of [`slice`](Self::slice) applies.
    #[inline(always)]
    pub unsafe fn get(&self, index: usize) -> &'a mut T {
        assert!(index < self.len, "the index is past the slice");
        // SAFETY: as in `slice`.
        unsafe { &mut *self.start.add(index) }
    }
}

/// Buffers in parts, one for each task.
///
/// # Safety
/// Parts of different indices do not overlap, and [`parts`](Self::parts) always returns the same number.
pub(crate) unsafe trait Split: Sync {
    type Part: Send;

    /// Returns the number of parts.
    fn parts(&self) -> usize;

    /// Returns a part.
    ///
    /// # Safety
    /// The index is below [`parts`](Self::parts), and each index is requested at most once.
    unsafe fn part(&self, index: usize) -> Self::Part;
}

/// Tasks without a buffer.
#[cfg(any(feature = "text", test))]
pub(crate) struct Tasks(pub usize);

// SAFETY: there is nothing to overlap.
#[cfg(any(feature = "text", test))]
unsafe impl Split for Tasks {
    type Part = ();

    fn parts(&self) -> usize {
        self.0
    }

    unsafe fn part(&self, _: usize) {}
}

/// A slice in chunks of equal length, of which the last may be shorter.
pub(crate) struct Chunks<'a, T> {
    values: DisjointMut<'a, T>,
    chunk: usize,
    count: usize,
}

impl<'a, T> Chunks<'a, T> {
    /// Splits a slice.
    ///
    /// # Panics
    /// If chunks have no length.
    pub fn new(values: &'a mut [T], chunk: usize) -> Self {
        let count = values.len().div_ceil(chunk);
        Self { values: DisjointMut::new(values), chunk, count }
    }

    /// Returns `count` empty chunks.
    pub fn empty(count: usize) -> Self {
        Self { values: DisjointMut::new(&mut []), chunk: 0, count }
    }
}

// SAFETY: chunk `i` begins `chunk` values after chunk `i − 1`, and is no longer.
unsafe impl<'a, T: Send> Split for Chunks<'a, T> {
    type Part = &'a mut [T];

    fn parts(&self) -> usize {
        self.count
    }

    unsafe fn part(&self, index: usize) -> &'a mut [T] {
        let start = index * self.chunk;
        // SAFETY: chunks do not overlap, and this one is requested once (caller).
        unsafe { self.values.slice(start..self.values.len.min(start.saturating_add(self.chunk))) }
    }
}

/// A slice in which each head of each sequence has a run of its own: `[heads, n]` values for every sequence, with
/// `n` that differs between sequences.
pub(crate) struct HeadRuns<'a, T> {
    values: DisjointMut<'a, T>,
    /// Start of each sequence's values, and the end of the last, in units of `unit` values.
    starts: &'a [usize],
    unit: usize,
    heads: usize,
}

impl<'a, T> HeadRuns<'a, T> {
    /// Splits a slice at `starts`, and what lies between two of them evenly among the heads. `starts` are
    /// multiplied by `unit`.
    ///
    /// # Panics
    /// If the starts decrease.
    pub fn new(values: &'a mut [T], starts: &'a [usize], unit: usize, heads: usize) -> Self {
        assert!(starts.is_sorted(), "the sequences overlap");
        let end = starts.last().copied().unwrap_or(0);
        assert!(
            end.checked_mul(unit).is_some_and(|end| end <= values.len()),
            "runs past the slice"
        );
        Self { values: DisjointMut::new(values), starts, unit, heads }
    }
}

/// Returns the run of a head (`index % heads`) of a sequence (`index / heads`) as [`HeadRuns`] splits it.
pub(crate) fn head_run(starts: &[usize], unit: usize, heads: usize, index: usize) -> Range<usize> {
    let (sequence, head) = (index / heads, index % heads);
    let [start, end] = [starts[sequence] * unit, starts[sequence + 1] * unit];
    let len = (end - start) / heads;
    start + head * len..start + (head + 1) * len
}

// SAFETY: sequences do not overlap, since starts do not decrease, and neither do the heads of one.
unsafe impl<'a, T: Send> Split for HeadRuns<'a, T> {
    type Part = &'a mut [T];

    fn parts(&self) -> usize {
        self.starts.len().saturating_sub(1) * self.heads
    }

    unsafe fn part(&self, index: usize) -> &'a mut [T] {
        // SAFETY: runs do not overlap, and this one is requested once (caller).
        unsafe { self.values.slice(head_run(self.starts, self.unit, self.heads, index)) }
    }
}

/// Rows of tokens in blocks that end where a sequence ends. Every sequence has as many blocks as the longest one,
/// of which the last may be empty.
#[cfg(feature = "explain")]
pub(crate) struct TokenBlocks<'a, T> {
    values: DisjointMut<'a, T>,
    stride: usize,
    sequences: &'a Sequences,
    block: usize,
    blocks: usize,
}

#[cfg(feature = "explain")]
impl<'a, T> TokenBlocks<'a, T> {
    /// Splits rows, `stride` values apart, into blocks of at most `block` rows.
    pub fn new(values: &'a mut [T], stride: usize, sequences: &'a Sequences, block: usize) -> Self {
        let len = sequences.tokens().checked_mul(stride);
        assert!(len.is_some_and(|len| len <= values.len()), "rows past the slice");
        let blocks = sequences.longest().div_ceil(block);
        Self { values: DisjointMut::new(values), stride, sequences, block, blocks }
    }
}

// SAFETY: blocks of a sequence do not overlap, and neither do sequences.
#[cfg(feature = "explain")]
unsafe impl<'a, T: Send> Split for TokenBlocks<'a, T> {
    /// The sequence, its tokens, and their rows.
    type Part = (usize, Range<usize>, &'a mut [T]);

    fn parts(&self) -> usize {
        self.sequences.len() * self.blocks
    }

    unsafe fn part(&self, index: usize) -> Self::Part {
        let (sequence, block) = (index / self.blocks, index % self.blocks);
        let Range { start, end } = self.sequences.tokens_of(sequence);
        let [start, end] = [block, block + 1].map(|block| end.min(start + block * self.block));
        // SAFETY: blocks do not overlap, and this one is requested once (caller).
        let rows = unsafe { self.values.slice(start * self.stride..end * self.stride) };
        (sequence, start..end, rows)
    }
}

macro_rules! split_tuples {
    ($(($first:ident $first_index:tt $(, $other:ident $index:tt)*))*) => {$(
        // SAFETY: each member's parts do not overlap, and its borrow keeps it apart from the others.
        unsafe impl<$first: Split, $($other: Split),*> Split for ($first, $($other),*) {
            type Part = ($first::Part, $($other::Part),*);

            fn parts(&self) -> usize {
                let parts = self.$first_index.parts();
                $(assert_eq!(self.$index.parts(), parts, "buffers in different numbers of parts");)*
                parts
            }

            unsafe fn part(&self, index: usize) -> Self::Part {
                // SAFETY: guaranteed by the caller.
                unsafe { (self.$first_index.part(index), $(self.$index.part(index)),*) }
            }
        }
    )*};
}

split_tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// A split that may be missing.
pub(crate) struct Optional<S> {
    split: Option<S>,
    parts: usize,
}

impl<S: Split> Optional<S> {
    /// Wraps a split, or stands for `parts` parts of nothing.
    pub fn new(split: Option<S>, parts: usize) -> Self {
        Self { parts: split.as_ref().map_or(parts, S::parts), split }
    }
}

// SAFETY: as for the split that it wraps.
unsafe impl<S: Split> Split for Optional<S> {
    type Part = Option<S::Part>;

    fn parts(&self) -> usize {
        self.parts
    }

    unsafe fn part(&self, index: usize) -> Self::Part {
        // SAFETY: guaranteed by the caller.
        self.split.as_ref().map(|split| unsafe { split.part(index) })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::cpu::parallel::threads::Threads;

    fn add_one(values: &mut [u32]) {
        values.iter_mut().for_each(|value| *value += 1);
    }

    #[test]
    fn chunks_cover_a_slice_once() {
        let threads = Threads::new(2).unwrap();
        for (len, chunk) in [(0, 3), (1, 3), (7, 3), (9, 3), (5, 100)] {
            let mut values = vec![0; len];
            let mut others = vec![0; len.div_ceil(chunk)];
            threads.run(|mut leader| {
                let split = (Chunks::new(&mut values, chunk), Chunks::new(&mut others, 1));
                leader.for_each(split, |_, (chunk, other)| {
                    add_one(chunk);
                    add_one(other);
                });
            });
            assert!(values.iter().chain(&others).all(|&value| value == 1));
        }
    }

    #[test]
    fn head_runs_cover_what_lies_between_the_starts_once() {
        let threads = Threads::new(2).unwrap();
        let starts = [0, 2, 3, 3, 8];
        let mut values = vec![0; 8 * 6];
        threads.run(|mut leader| {
            leader.for_each(HeadRuns::new(&mut values, &starts, 6, 3), |_, run| add_one(run));
        });
        assert!(values.iter().all(|&value| value == 1));
        assert_eq!(head_run(&starts, 6, 3, 4), 14..16);
    }

    #[cfg(feature = "explain")]
    #[test]
    fn token_blocks_cover_every_token_once() {
        let threads = Threads::new(2).unwrap();
        let sequences: Sequences = [1, 5, 2, 9].into_iter().collect();
        let mut values = vec![0; sequences.tokens() * 3];
        threads.run(|mut leader| {
            let blocks = TokenBlocks::new(&mut values, 3, &sequences, 4);
            leader.for_each(blocks, |_, (sequence, tokens, rows)| {
                assert_eq!(rows.len(), tokens.len() * 3);
                let all = sequences.tokens_of(sequence);
                assert!(all.start <= tokens.start && tokens.end <= all.end);
                add_one(rows);
            });
        });
        assert!(values.iter().all(|&value| value == 1));
    }
}
