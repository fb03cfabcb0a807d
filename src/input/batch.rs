//! [`TokenBatch`]: rows of tokens packed end to end, without padding.

use std::ops::Range;

use crate::error::{Error, Result};

/// Rows of token ids, packed: no padding is held, and none is computed.
///
/// Each token keeps the position that it has in its row, so that a row with holes in its mask gives
/// what Hugging Face gives for it.
///
/// ```
/// use distilbert::TokenBatch;
///
/// let batch = TokenBatch::from_padded(&[101, 2204, 102, 101, 102, 0], &[1, 1, 1, 1, 1, 0], 3)?;
/// assert_eq!(batch.rows(), 2);
/// assert_eq!(batch.tokens(), 5);
/// # Ok::<(), distilbert::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenBatch {
    input_ids: Vec<u32>,
    positions: Vec<u32>,
    /// Where each row ends in `input_ids`; it begins where the one before ends.
    row_ends: Vec<usize>,
}

impl TokenBatch {
    /// Packs rows of ids, each with its special tokens, as a tokenizer gives them.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`] without rows, [`Error::EmptyRow`] for a row without ids.
    pub fn from_rows<R: AsRef<[u32]>>(rows: &[R]) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let mut batch = Self::default();
        for (row, ids) in rows.iter().map(AsRef::as_ref).enumerate() {
            if ids.is_empty() {
                return Err(Error::EmptyRow { row });
            }
            batch.input_ids.extend_from_slice(ids);
            batch.positions.extend((0..).take(ids.len()));
            batch.row_ends.push(batch.input_ids.len());
        }
        Ok(batch)
    }

    /// Packs padded rows of `len` ids, dropping the tokens whose mask is 0. The rest keep their
    /// positions, wherever in the row the masked tokens are.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`] without rows; [`Error::PaddedShape`] if the two slices are not the same
    /// number of rows of `len`; [`Error::MaskValue`] for a value other than 0 and 1;
    /// [`Error::MaskedRow`] and [`Error::MaskedFirstToken`], since the model reads its answer at the
    /// first token.
    pub fn from_padded(input_ids: &[u32], attention_mask: &[u32], len: usize) -> Result<Self> {
        let whole_rows = len != 0 && input_ids.len().is_multiple_of(len);
        if input_ids.len() != attention_mask.len() || !(whole_rows || input_ids.is_empty()) {
            return Err(Error::PaddedShape {
                ids: input_ids.len(),
                mask: attention_mask.len(),
                len,
            });
        }
        if input_ids.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let mut batch = Self::default();
        for (row, (ids, mask)) in input_ids.chunks(len).zip(attention_mask.chunks(len)).enumerate()
        {
            batch.push_masked(row, ids, mask)?;
        }
        Ok(batch)
    }

    fn push_masked(&mut self, row: usize, ids: &[u32], mask: &[u32]) -> Result<()> {
        if let Some(position) = mask.iter().position(|&value| value > 1) {
            return Err(Error::MaskValue { row, position, found: mask[position] });
        }
        if mask.iter().all(|&value| value == 0) {
            return Err(Error::MaskedRow { row });
        }
        if mask[0] == 0 {
            return Err(Error::MaskedFirstToken { row });
        }
        for ((position, &id), &kept) in (0..).zip(ids).zip(mask) {
            if kept == 1 {
                self.input_ids.push(id);
                self.positions.push(position);
            }
        }
        self.row_ends.push(self.input_ids.len());
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.row_ends.len()
    }

    /// Number of tokens of all rows.
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// The ids of all rows, end to end.
    pub fn input_ids(&self) -> &[u32] {
        &self.input_ids
    }

    /// The position of each token in its row.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Where each row ends in [`input_ids`](Self::input_ids); it begins where the one before ends.
    pub fn row_ends(&self) -> &[usize] {
        &self.row_ends
    }

    /// Adds a row of ids with their positions, of which there is at least one.
    #[cfg(feature = "explain")]
    pub(crate) fn push_row(&mut self, tokens: impl Iterator<Item = (u32, u32)>) {
        for (id, position) in tokens {
            self.input_ids.push(id);
            self.positions.push(position);
        }
        self.row_ends.push(self.input_ids.len());
    }

    /// The same batch with other ids.
    #[cfg(feature = "explain")]
    pub(crate) fn with_ids(&self, ids: impl IntoIterator<Item = u32>) -> Self {
        let input_ids: Vec<u32> = ids.into_iter().collect();
        assert_eq!(input_ids.len(), self.tokens(), "each token has an id");
        Self { input_ids, ..self.clone() }
    }

    /// The tokens of one row, as a range of [`input_ids`](Self::input_ids).
    pub(crate) fn row(&self, row: usize) -> Range<usize> {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] };
        start..self.row_ends[row]
    }

    /// Cuts the batch into runs of rows of at most so many tokens and rows. Rows are never cut, so one that
    /// is longer is a run of its own.
    pub(crate) fn parts(&self, tokens: usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            if start == self.rows() {
                return None;
            }
            let limit = self.row(start).start + tokens;
            let fitting = self.row_ends[start..].partition_point(|&end| end <= limit);
            let part = start..start + fitting.clamp(1, rows);
            start = part.end;
            Some(part)
        })
    }

    /// Splits the batch into sub-batches of whole rows and at most `tokens` tokens. A longer row is a sub-batch of its
    /// own.
    pub(crate) fn sub_batches(&self, tokens: usize) -> impl Iterator<Item = SubBatch<'_>> {
        self.parts(tokens, usize::MAX).map(|rows| self.sub_batch(rows))
    }

    /// Returns the whole batch as a sub-batch.
    #[cfg(feature = "explain")]
    pub(crate) fn as_sub_batch(&self) -> SubBatch<'_> {
        self.sub_batch(0..self.rows())
    }

    fn sub_batch(&self, rows: Range<usize>) -> SubBatch<'_> {
        let start = if rows.start == 0 { 0 } else { self.row_ends[rows.start - 1] };
        let row_ends = &self.row_ends[rows.clone()];
        let tokens = start..row_ends.last().copied().unwrap_or(start);
        SubBatch {
            input_ids: &self.input_ids[tokens.clone()],
            positions: &self.positions[tokens.clone()],
            rows,
            tokens,
            row_ends,
        }
    }

    /// Checks the ids and positions against a model's tables.
    pub(crate) fn check(&self, vocab_size: usize, limit: usize) -> Result<()> {
        if self.rows() == 0 {
            return Err(Error::EmptyBatch);
        }
        for row in 0..self.rows() {
            let tokens = self.row(row);
            // Positions rise along a row, so the last one tells.
            let length = self.positions[tokens.end - 1] as usize + 1;
            if length > limit {
                return Err(Error::TooManyTokens { row, tokens: length, limit });
            }
            let ids = &self.input_ids[tokens];
            if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
                return Err(Error::TokenId { row, id, vocab_size });
            }
        }
        Ok(())
    }
}

/// Consecutive rows of a batch.
pub(crate) struct SubBatch<'a> {
    /// Ids of the tokens.
    pub input_ids: &'a [u32],
    /// Positions of the tokens in their rows.
    pub positions: &'a [u32],
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// Tokens of the batch.
    pub tokens: Range<usize>,
    /// End of each row in the batch.
    row_ends: &'a [usize],
}

impl SubBatch<'_> {
    /// Returns the length of each row.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        let mut start = self.tokens.start;
        self.row_ends.iter().map(move |&end| end - std::mem::replace(&mut start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_tokens_go_and_the_rest_keep_their_positions() {
        let batch =
            TokenBatch::from_padded(&[7, 8, 9, 10, 5, 6, 0, 0], &[1, 0, 1, 1, 1, 1, 0, 0], 4)
                .unwrap();
        assert_eq!(batch.input_ids(), [7, 9, 10, 5, 6]);
        assert_eq!(batch.positions(), [0, 2, 3, 0, 1]);
        assert_eq!(batch.row_ends(), [3, 5]);
        assert_eq!(batch.row(1), 3..5);
    }

    #[test]
    fn a_full_mask_is_the_same_as_none() {
        let padded = TokenBatch::from_padded(&[1, 2, 3, 4], &[1; 4], 2).unwrap();
        assert_eq!(padded, TokenBatch::from_rows(&[[1, 2], [3, 4]]).unwrap());
    }

    #[test]
    fn parts_hold_whole_rows() {
        let rows: Vec<Vec<u32>> = [3, 4, 9, 1, 1, 1].map(|len| vec![1; len]).into();
        let batch = TokenBatch::from_rows(&rows).unwrap();
        let parts = |tokens, rows| batch.parts(tokens, rows).collect::<Vec<_>>();
        assert_eq!(parts(7, usize::MAX), [0..2, 2..3, 3..6]);
        assert_eq!(parts(100, 2), [0..2, 2..4, 4..6]);
    }

    #[test]
    fn sub_batches_cover_the_batch() {
        let rows: Vec<Vec<u32>> = [3, 4, 9, 1].map(|len| vec![len as u32; len]).into();
        let batch = TokenBatch::from_rows(&rows).unwrap();
        let parts: Vec<SubBatch<'_>> = batch.sub_batches(7).collect();
        assert_eq!(
            parts.iter().map(|part| part.rows.clone()).collect::<Vec<_>>(),
            [0..2, 2..3, 3..4]
        );
        assert_eq!(parts[1].tokens, 7..16);
        assert_eq!(parts[0].lengths().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(parts[2].input_ids, [1]);
        #[cfg(feature = "explain")]
        assert_eq!(batch.as_sub_batch().lengths().collect::<Vec<_>>(), [3, 4, 9, 1]);
    }

    #[test]
    fn ids_are_checked_against_the_tables() {
        let batch = TokenBatch::from_rows(&[vec![1, 2], vec![3, 4, 5]]).unwrap();
        assert!(batch.check(6, 3).is_ok());
        assert!(matches!(batch.check(5, 3), Err(Error::TokenId { row: 1, id: 5, vocab_size: 5 })));
        assert!(matches!(
            batch.check(6, 2),
            Err(Error::TooManyTokens { row: 1, tokens: 3, limit: 2 })
        ));
    }
}
