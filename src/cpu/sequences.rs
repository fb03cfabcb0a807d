//! [`Sequences`]: the boundaries of sequences in packed rows.

use std::ops::Range;

/// Boundaries of sequences that follow one another without gaps, from row 0 on.
#[derive(Default)]
pub(crate) struct Sequences {
    /// Start of each sequence, and the end of the last. Empty without sequences; never decreases.
    cu_seqlens: Vec<usize>,
}

impl Sequences {
    /// Replaces the sequences. Keeps the memory, so that a warm call does not allocate.
    pub fn set(&mut self, lengths: impl Iterator<Item = usize>) {
        let mut end = 0usize;
        self.cu_seqlens.clear();
        self.cu_seqlens.push(0);
        self.cu_seqlens.extend(lengths.map(|len| {
            end = end.checked_add(len).expect("more tokens than memory holds");
            end
        }));
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.cu_seqlens.len().saturating_sub(1)
    }

    /// Returns the number of tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.cu_seqlens.last().copied().unwrap_or(0)
    }

    /// Returns the start of each sequence, and the end of the last.
    pub fn cu_seqlens(&self) -> &[usize] {
        &self.cu_seqlens
    }

    /// Returns the rows of a sequence.
    pub fn tokens_of(&self, sequence: usize) -> Range<usize> {
        self.cu_seqlens[sequence]..self.cu_seqlens[sequence + 1]
    }

    /// Returns the rows of each sequence.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.cu_seqlens.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Returns the length of the longest sequence, 0 without sequences.
    pub fn longest(&self) -> usize {
        self.iter().map(|tokens| tokens.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
impl FromIterator<usize> for Sequences {
    /// Collects lengths.
    fn from_iter<L: IntoIterator<Item = usize>>(lengths: L) -> Self {
        let mut sequences = Self::default();
        sequences.set(lengths.into_iter());
        sequences
    }
}
