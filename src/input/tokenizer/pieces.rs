//! [`Tokenizer::each_token`]: the tokens of a text, piece by piece.

use std::ops::Range;

use super::Tokenizer;
use super::excerpt::floor;
use crate::error::Result;

/// Length of a piece in bytes. It is large compared to the words that pieces share.
const PIECE: usize = 64 << 10;

/// Factor by which a piece grows that has too few words to go on.
const GROWTH: usize = 4;

/// Tokens of a piece, with places in the whole text.
struct Piece {
    ids: Vec<u32>,
    places: Vec<Range<usize>>,
    word_ids: Vec<u32>,
}

/// Boundary between two pieces, which overlap.
#[derive(Debug)]
struct Seam {
    /// First token that the piece leaves to the next one.
    token: usize,
    /// Place of the first byte of the next piece.
    next: usize,
}

impl Piece {
    /// Returns the seam before the last `words` words, of which the next piece repeats at least as many before it.
    fn seam(&self, words: usize) -> Option<Seam> {
        let first = |word: u32| self.word_ids.partition_point(|&id| id < word);
        let last = *self.word_ids.last()?;
        let mut word = (last + 1).checked_sub(u32::try_from(words).ok()?)?;
        // Tokens are assigned to pieces by their places, which words that come from one character have in common.
        let is_apart = |token: usize| {
            let (before, here) = (&self.places[token - 1], &self.places[token]);
            before.start < here.start && before.end <= here.start
        };
        while first(word) > 0 && !is_apart(first(word)) {
            word -= 1;
        }
        let from = word.checked_sub(2 * u32::try_from(words).ok()? + 2)?;
        Some(Seam { token: first(word), next: self.places[first(from)].start })
    }
}

impl Tokenizer {
    /// Calls `each` with the id and the place, in bytes, of every token of a text, in their order, without special tokens
    /// and without truncation. They are those of [`encode`](Self::encode), but the memory that they take doesn't grow with
    /// the text, unless the tokenizer is of another kind than BERT's or a word has thousands of characters.
    ///
    /// # Errors
    /// [`InputError::Encode`](crate::InputError::Encode) if the tokenizer fails on the text; `each` may have been called for
    /// the tokens before the failure.
    pub fn each_token(&self, text: &str, each: impl FnMut(u32, Range<usize>)) -> Result<()> {
        self.each_token_of_pieces(text, PIECE, || (), each)
    }

    /// Calls `next_piece` before each piece but the first; `most` is the length of a piece.
    pub(super) fn each_token_of_pieces(
        &self,
        text: &str,
        most: usize,
        mut next_piece: impl FnMut(),
        mut each: impl FnMut(u32, Range<usize>),
    ) -> Result<()> {
        let words = self.locality.as_ref().filter(|locality| locality.holds_after_cut);
        let words = words.map(|locality| locality.words);
        let (mut start, mut done, mut len) = (0usize, 0, most);
        loop {
            let end = match words {
                Some(_) => floor(text, start.saturating_add(len)),
                None => text.len(),
            };
            let piece = self.piece(text, start..end)?;
            let is_last = end == text.len();
            let seam = words.filter(|_| !is_last).and_then(|words| piece.seam(words));
            let seam = seam.filter(|seam| seam.next > start);
            if seam.is_none() && !is_last {
                len = len.saturating_mul(GROWTH);
                continue;
            }
            let from = piece.places.partition_point(|place| place.start < done);
            let to = seam.as_ref().map_or(piece.ids.len(), |seam| seam.token);
            for token in from..to {
                each(piece.ids[token], piece.places[token].clone());
            }
            let Some(seam) = seam else { return Ok(()) };
            done = piece.places[seam.token].start;
            (start, len) = (seam.next, most);
            next_piece();
        }
    }

    fn piece(&self, text: &str, range: Range<usize>) -> Result<Piece> {
        let part = &text[range.clone()];
        let encoding = self.encode(part)?;
        // From characters to bytes.
        let starts: Vec<usize> =
            part.char_indices().map(|(byte, _)| byte).chain([part.len()]).collect();
        let place =
            |&(start, end): &(usize, usize)| range.start + starts[start]..range.start + starts[end];
        Ok(Piece {
            ids: encoding.ids,
            places: encoding.offsets.iter().map(place).collect(),
            word_ids: encoding.word_ids,
        })
    }
}
