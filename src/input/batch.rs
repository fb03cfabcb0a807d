//! [`TokenBatch`]: rows of token ids, packed without padding.

use std::fmt::Display;
use std::ops::Range;

use crate::error::{InputError, Result};

/// Rows of token ids, packed end to end: padding is neither stored nor processed.
///
/// Each token keeps its position within its row, so that a row with gaps in its attention mask gives the same result as
/// in Hugging Face Transformers.
///
/// ```
/// use distilbert::TokenBatch;
///
/// let batch = TokenBatch::from_padded(&[101, 2204, 102, 101, 102, 0], &[1, 1, 1, 1, 1, 0], 3)?;
/// assert_eq!(batch.rows(), 2);
/// assert_eq!(batch.input_ids(), [101, 2204, 102, 101, 102]);
/// assert_eq!(batch.positions(), [0, 1, 2, 0, 1]);
/// assert_eq!(batch.cu_seqlens(), [0, 3, 5]);
/// # Ok::<(), distilbert::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenBatch {
    input_ids: Vec<u32>,
    positions: Vec<u32>,
    /// Row boundaries in `input_ids`, starting with 0.
    cu_seqlens: Vec<usize>,
}

impl Default for TokenBatch {
    /// Returns a batch without rows, which a classifier rejects.
    fn default() -> Self {
        Self { input_ids: Vec::new(), positions: Vec::new(), cu_seqlens: vec![0] }
    }
}

impl TokenBatch {
    /// Packs rows of token ids, each with its special tokens.
    ///
    /// ```
    /// use distilbert::TokenBatch;
    ///
    /// let batch = TokenBatch::from_rows(&[vec![101, 2307, 102], vec![101, 6659, 999, 102]])?;
    /// assert_eq!((batch.rows(), batch.tokens()), (2, 7));
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InputError::EmptyBatch`] if there are no rows, [`InputError::EmptyRow`] if a row has no ids.
    pub fn from_rows<R: AsRef<[u32]>>(rows: &[R]) -> Result<Self> {
        if rows.is_empty() {
            return Err(InputError::EmptyBatch.into());
        }
        let mut batch = Self::default();
        for (row, ids) in rows.iter().map(AsRef::as_ref).enumerate() {
            if ids.is_empty() {
                return Err(InputError::EmptyRow { row }.into());
            }
            batch.push_row(ids.iter().copied().zip(0..));
        }
        Ok(batch)
    }

    /// Packs `input_ids` and `attention_mask`, both row-major `[rows, len]`, and drops the tokens whose mask is 0.
    ///
    /// The other tokens keep their positions, wherever in the row the masked tokens are. Ids and mask can be of any
    /// integer type, such as the `i64` of most tokenizers; a mask can also be of type `bool`.
    ///
    /// ```
    /// use distilbert::TokenBatch;
    ///
    /// let batch = TokenBatch::from_padded(&[101i64, 2204, 102, 0], &[true, true, true, false], 4)?;
    /// assert_eq!(batch.input_ids(), [101, 2204, 102]);
    /// # Ok::<(), distilbert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InputError::EmptyBatch`] if there are no rows; [`InputError::PaddedShape`] if the slices differ in length or
    /// the length is not a multiple of `len`; [`InputError::NotU32`] for a negative or huge value;
    /// [`InputError::MaskValue`] for a mask value other than 0 and 1;
    /// [`InputError::MaskedRow`] if every token of a row is masked; [`InputError::MaskedFirstToken`] if the first one
    /// is, since the classification head reads the first token.
    pub fn from_padded<I, M>(input_ids: &[I], attention_mask: &[M], len: usize) -> Result<Self>
    where
        I: Copy + TryInto<u32> + Display,
        M: Copy + TryInto<u32> + Display,
    {
        let whole_rows = len != 0 && input_ids.len().is_multiple_of(len);
        if input_ids.len() != attention_mask.len() || !(whole_rows || input_ids.is_empty()) {
            return Err(InputError::PaddedShape {
                ids: input_ids.len(),
                mask: attention_mask.len(),
                len,
            }
            .into());
        }
        if input_ids.is_empty() {
            return Err(InputError::EmptyBatch.into());
        }
        let mut batch = Self::default();
        let mut mask = Vec::with_capacity(len);
        for (row, (ids, values)) in
            input_ids.chunks(len).zip(attention_mask.chunks(len)).enumerate()
        {
            mask.clear();
            for (position, &value) in values.iter().enumerate() {
                mask.push(to_u32("attention_mask", row, position, value)?);
            }
            check_mask(row, &mask)?;
            for (position, (&id, _)) in
                ids.iter().zip(&mask).enumerate().filter(|(_, (_, mask))| **mask == 1)
            {
                batch.input_ids.push(to_u32("input_ids", row, position, id)?);
                batch.positions.push(position as u32);
            }
            batch.cu_seqlens.push(batch.input_ids.len());
        }
        Ok(batch)
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.cu_seqlens.len() - 1
    }

    /// Returns the number of tokens in all rows.
    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// Returns the token ids of all rows, end to end.
    pub fn input_ids(&self) -> &[u32] {
        &self.input_ids
    }

    /// Returns the position of each token within its row, in the order of [`input_ids`](Self::input_ids).
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Returns the cumulative sequence lengths, `rows + 1` of them: row `i` is
    /// `input_ids()[cu_seqlens()[i]..cu_seqlens()[i + 1]]`.
    pub fn cu_seqlens(&self) -> &[usize] {
        &self.cu_seqlens
    }

    /// Appends a row of ids with their positions, at least one.
    pub(crate) fn push_row(&mut self, tokens: impl Iterator<Item = (u32, u32)>) {
        for (id, position) in tokens {
            self.input_ids.push(id);
            self.positions.push(position);
        }
        self.cu_seqlens.push(self.input_ids.len());
    }

    /// Removes all rows and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.input_ids.clear();
        self.positions.clear();
        self.cu_seqlens.truncate(1);
    }

    /// Appends rows of another batch.
    pub(crate) fn append(&mut self, other: &Self, rows: Range<usize>) {
        for row in rows {
            let tokens = other.row(row);
            let (ids, positions) = (&other.input_ids[tokens.clone()], &other.positions[tokens]);
            self.push_row(ids.iter().copied().zip(positions.iter().copied()));
        }
    }

    /// Replaces the rows with some of another batch.
    pub(crate) fn set_rows(&mut self, of: &Self, rows: &[usize]) {
        self.clear();
        for &row in rows {
            self.append(of, row..row + 1);
        }
    }

    /// Returns a copy of the batch with other ids, one per token.
    #[cfg(feature = "explain")]
    pub(crate) fn with_ids(&self, ids: impl IntoIterator<Item = u32>) -> Self {
        let input_ids: Vec<u32> = ids.into_iter().collect();
        assert_eq!(input_ids.len(), self.tokens(), "one id per token");
        Self { input_ids, ..self.clone() }
    }

    /// Returns the tokens of a row, as a range of [`input_ids`](Self::input_ids).
    pub(crate) fn row(&self, row: usize) -> Range<usize> {
        self.cu_seqlens[row]..self.cu_seqlens[row + 1]
    }

    /// Splits the batch into row ranges of at most `tokens` tokens and `rows` rows each.
    ///
    /// Rows are never split, so a row with more than `tokens` tokens forms its own range.
    pub(crate) fn parts(&self, tokens: usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            if start == self.rows() {
                return None;
            }
            let limit = self.cu_seqlens[start] + tokens;
            let fitting = self.cu_seqlens[start + 1..].partition_point(|&end| end <= limit);
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
        let cu_seqlens = &self.cu_seqlens[rows.start..=rows.end];
        let tokens = cu_seqlens[0]..cu_seqlens[cu_seqlens.len() - 1];
        SubBatch {
            input_ids: &self.input_ids[tokens.clone()],
            positions: &self.positions[tokens.clone()],
            rows,
            #[cfg(feature = "explain")]
            tokens,
            cu_seqlens,
        }
    }

    /// Checks that the model's embedding tables have an entry for every id and position.
    pub(crate) fn check(&self, vocab_size: usize, limit: usize) -> Result<(), InputError> {
        if self.rows() == 0 {
            return Err(InputError::EmptyBatch);
        }
        for row in 0..self.rows() {
            let tokens = self.row(row);
            // Positions increase along a row, so checking the last one is enough.
            let length = self.positions[tokens.end - 1] as usize + 1;
            if length > limit {
                return Err(InputError::TooManyTokens { row, tokens: length, limit });
            }
            let ids = &self.input_ids[tokens];
            if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
                return Err(InputError::TokenId { row, id, vocab_size });
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
    #[cfg(feature = "explain")]
    pub tokens: Range<usize>,
    /// Boundaries of the rows in the batch, one more than there are rows.
    cu_seqlens: &'a [usize],
}

impl SubBatch<'_> {
    /// Returns the length of each row.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.cu_seqlens.windows(2).map(|ends| ends[1] - ends[0])
    }
}

/// Converts a value of a padded row.
fn to_u32<T: Copy + TryInto<u32> + Display>(
    what: &'static str,
    row: usize,
    position: usize,
    value: T,
) -> Result<u32, InputError> {
    let out_of_range = |_| InputError::NotU32 { what, row, position, found: value.to_string() };
    value.try_into().map_err(out_of_range)
}

/// Checks that a row's mask has only zeros and ones and keeps the first token.
fn check_mask(row: usize, mask: &[u32]) -> Result<(), InputError> {
    if let Some(position) = mask.iter().position(|&value| value > 1) {
        return Err(InputError::MaskValue { row, position, found: mask[position] });
    }
    if mask.iter().all(|&value| value == 0) {
        return Err(InputError::MaskedRow { row });
    }
    if mask[0] == 0 {
        return Err(InputError::MaskedFirstToken { row });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
