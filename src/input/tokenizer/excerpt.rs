//! [`Excerpt`]: the tokens at one end of a text.

use std::borrow::Cow;
use std::ops::Range;

use super::abridge::Abridger;
use super::boundary::guarded;
use super::{Tokenizer, word_ids};
use crate::error::InputError;
use crate::input::cut::TruncationSide;

/// Length in bytes up to which texts are tokenized whole.
const WHOLE: usize = 16 * 1024;

/// Bytes per token up to which texts are tokenized whole: tokenizing them costs little compared to the model.
const WHOLE_PER_TOKEN: usize = 32;

/// Bytes per token that are tokenized first; English has between four and five.
const FIRST_PER_TOKEN: usize = 8;

/// Factor by which a part with too few tokens grows.
const GROWTH: usize = 4;

/// Tokens at one end of a text, without special tokens; all fields but the last have one element per token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excerpt {
    pub ids: Vec<u32>,
    /// Vocabulary entries.
    #[cfg_attr(not(feature = "explain"), allow(dead_code, reason = "for explanations"))]
    pub tokens: Vec<String>,
    /// Places in the text, in bytes.
    pub bytes: Vec<Range<usize>>,
    /// Index of the word that each token is a piece of.
    pub word_ids: Vec<u32>,
    /// `true` if these are all tokens of the text.
    pub is_whole: bool,
}

impl Excerpt {
    /// Keeps a range of the tokens.
    pub fn keep(&mut self, range: Range<usize>) {
        self.is_whole &= range == (0..self.ids.len());
        self.ids = self.ids[range.clone()].to_vec();
        self.tokens = self.tokens[range.clone()].to_vec();
        self.bytes = self.bytes[range.clone()].to_vec();
        self.word_ids = self.word_ids[range].to_vec();
    }

    /// Drops the tokens of the last words, or of the first ones if the left side was cut.
    fn drop_words(&mut self, words: usize, side: TruncationSide) {
        let (Some(&first), Some(&last)) = (self.word_ids.first(), self.word_ids.last()) else {
            return;
        };
        let words = u32::try_from(words).unwrap_or(u32::MAX);
        let kept = match side {
            TruncationSide::Right => {
                let end = (last + 1).saturating_sub(words);
                0..self.word_ids.partition_point(|&word| word < end)
            }
            TruncationSide::Left => {
                let start = first.saturating_add(words);
                self.word_ids.partition_point(|&word| word < start)..self.ids.len()
            }
        };
        self.keep(kept);
    }
}

/// Returns the last boundary of characters up to `at`.
pub(super) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Returns the first boundary of characters from `at`.
pub(super) fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// Part of a text, possibly with gaps.
pub(super) struct Part<'t> {
    text: Cow<'t, str>,
    /// Start of each piece in `text` and in the whole text.
    starts: Vec<(usize, usize)>,
    /// `true` if no token of the text is missing.
    is_whole: bool,
}

impl<'t> Part<'t> {
    /// Returns about `len` bytes of the text, without a piece of `side`.
    fn end_of(text: &'t str, side: TruncationSide, len: usize) -> Self {
        let range = match side {
            TruncationSide::Right => 0..floor(text, len),
            TruncationSide::Left => ceil(text, text.len().saturating_sub(len))..text.len(),
        };
        let is_whole = range.len() == text.len();
        Self { starts: vec![(0, range.start)], text: text[range].into(), is_whole }
    }

    /// Joins pieces of a text, which are in order.
    pub fn of_pieces(whole: &str, pieces: &[Range<usize>], is_whole: bool) -> Self {
        let mut text = String::with_capacity(pieces.iter().map(Range::len).sum());
        let mut starts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            starts.push((text.len(), piece.start));
            text += &whole[piece.clone()];
        }
        Self { text: text.into(), starts, is_whole }
    }

    /// Returns the place in the whole text of a range of this part.
    fn place(&self, (start, end): (usize, usize)) -> Range<usize> {
        let at = |offset: usize| {
            let piece = self.starts.partition_point(|&(start, _)| start <= offset);
            match piece.checked_sub(1).map(|piece| self.starts[piece]) {
                Some((here, there)) => offset - here + there,
                None => offset,
            }
        };
        // The end belongs to the piece of the last byte.
        if start < end { at(start)..at(end - 1) + 1 } else { at(start)..at(start) }
    }
}

impl Tokenizer {
    /// Returns tokens of a text of which `side` may be cut: all of them, or at least the `count` that are farthest from
    /// that side.
    ///
    /// The cost does not grow with the text, unless the tokenizer is of another kind than BERT's or the kept tokens
    /// have unusually many characters. The tokens are those of the whole text.
    pub(crate) fn excerpt(
        &self,
        text: &str,
        side: TruncationSide,
        count: usize,
    ) -> Result<Excerpt, InputError> {
        if text.len() <= count.saturating_mul(WHOLE_PER_TOKEN).max(WHOLE) {
            return self.whole(text);
        }
        self.excerpt_of_long(text, side, count)
    }

    fn excerpt_of_long(
        &self,
        text: &str,
        side: TruncationSide,
        count: usize,
    ) -> Result<Excerpt, InputError> {
        let locality = match &self.locality {
            Some(locality) if side == TruncationSide::Right || locality.holds_after_cut => locality,
            _ => return self.whole(text),
        };
        let mut len = FIRST_PER_TOKEN.saturating_mul(count.saturating_add(locality.words));
        let mut part = Part::end_of(text, side, len);
        let mut abridger = Abridger::new(text, side, self.abridgement.as_ref());
        loop {
            let mut excerpt = self.encode_part(&part)?;
            if excerpt.is_whole {
                return Ok(excerpt);
            }
            excerpt.drop_words(locality.words, side);
            if excerpt.ids.len() >= count {
                return Ok(excerpt);
            }
            len = len.saturating_mul(GROWTH);
            abridger.extend(len);
            part = abridger.part();
        }
    }

    /// Returns the ids of all tokens of a text so short that it is unlikely to have more than `count`, which is faster
    /// than [`excerpt`](Self::excerpt); `None` for a longer text, or if it does have more.
    pub(crate) fn ids_of_short(
        &self,
        text: &str,
        count: usize,
    ) -> Result<Option<Vec<u32>>, InputError> {
        if text.len() > count.saturating_mul(FIRST_PER_TOKEN) {
            return Ok(None);
        }
        let encoding =
            guarded(|| self.inner.encode_fast(text, false)).map_err(InputError::Encode)?;
        let ids = encoding.get_ids();
        Ok((ids.len() <= count).then(|| ids.to_vec()))
    }

    /// Returns all tokens of a text.
    pub(crate) fn whole(&self, text: &str) -> Result<Excerpt, InputError> {
        self.encode_part(&Part::end_of(text, TruncationSide::Right, text.len()))
    }

    fn encode_part(&self, part: &Part<'_>) -> Result<Excerpt, InputError> {
        let encoding =
            guarded(|| self.inner.encode(part.text.as_ref(), false)).map_err(InputError::Encode)?;
        Ok(Excerpt {
            ids: encoding.get_ids().to_vec(),
            tokens: encoding.get_tokens().to_vec(),
            bytes: encoding.get_offsets().iter().map(|&range| part.place(range)).collect(),
            word_ids: word_ids(encoding.get_word_ids()),
            is_whole: part.is_whole,
        })
    }
}

#[cfg(test)]
mod tests;
