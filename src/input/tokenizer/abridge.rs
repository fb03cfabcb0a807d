//! [`Abridger`]: shortens runs of characters that yield few tokens, however long they are.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use tokenizers::{
    ModelWrapper, NormalizedString, Normalizer as _, NormalizerWrapper, OffsetReferential,
    OffsetType, PreTokenizedString, PreTokenizer as _, PreTokenizerWrapper,
};

use super::excerpt::{Part, ceil, floor};
use super::locality::Locality;
use crate::input::cut::TruncationSide;

/// Number of bytes compared at once: a multiple of the lengths of all characters in UTF-8.
const BLOCK: usize = 192;

/// Number of bytes taken at once if none of them can be left out.
const CHUNK: usize = 4096;

/// Role of a character, which does not depend on its neighbors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Part of a word.
    Word,
    /// Separates words, and yields no token.
    Blank,
    /// Removed by the normalizer.
    Removed,
    /// Has tokens of its own, or may be part of an added token.
    Other,
}

/// Rules for shortening the texts of one tokenizer.
#[derive(Clone, Debug)]
pub(super) struct Abridgement {
    tokenizer: Pipeline,
    ascii: [Kind; 128],
    /// `true` if all ASCII letters and digits are of [`Kind::Word`].
    has_letters: bool,
    /// Characters that are kept because of added tokens: each added token has a character that is excluded or of a
    /// different kind from those of the run.
    excluded: HashSet<char>,
    /// Number of word characters, or of blanks, kept at each end of a run. More than the longest added token, so that the
    /// added tokens at the ends of the run are found, and more than the longest word that is split into pieces.
    keep: usize,
    /// Number of removed characters kept at each end of a stretch.
    keep_removed: usize,
}

/// Parts of a tokenizer that determine the kind of a character.
#[derive(Clone, Debug)]
struct Pipeline {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: PreTokenizerWrapper,
}

impl Pipeline {
    /// Returns the normalized character and its kind, found between two letters.
    fn character(&self, character: char) -> Option<(String, Kind)> {
        let mut text = NormalizedString::from(format!("x{character}x"));
        if let Some(normalizer) = &self.normalizer {
            normalizer.normalize(&mut text).ok()?;
        }
        let normalized = text.get().strip_prefix('x')?.strip_suffix('x')?.to_owned();
        let mut words = PreTokenizedString::from(text);
        self.pre_tokenizer.pre_tokenize(&mut words).ok()?;
        let words = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        let kind = match words.as_slice() {
            _ if normalized.is_empty() => Kind::Removed,
            [_] => Kind::Word,
            [("x", ..), ("x", ..)] => Kind::Blank,
            _ => Kind::Other,
        };
        Some((normalized, kind))
    }
}

impl Abridgement {
    /// Returns `None` for a tokenizer whose texts can't be shortened.
    pub fn of(tokenizer: &tokenizers::Tokenizer, locality: &Locality) -> Option<Self> {
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        let normalizer = tokenizer.get_normalizer();
        let by_character = normalizer.is_none_or(|normalizer| {
            matches!(
                normalizer,
                NormalizerWrapper::BertNormalizer(_) | NormalizerWrapper::Lowercase(_)
            )
        });
        let pre_tokenizer = tokenizer.get_pre_tokenizer()?;
        if !by_character || !matches!(pre_tokenizer, PreTokenizerWrapper::BertPreTokenizer(_)) {
            return None;
        }
        let longest = locality.forms.longest();
        let mut rules = Self {
            tokenizer: Pipeline {
                normalizer: normalizer.cloned(),
                pre_tokenizer: pre_tokenizer.clone(),
            },
            ascii: [Kind::Other; 128],
            has_letters: false,
            excluded: HashSet::new(),
            keep: model.max_input_chars_per_word.saturating_add(longest + 2),
            keep_removed: longest + 2,
        };
        rules.exclude(locality)?;
        for code in 0..128u8 {
            rules.ascii[usize::from(code)] = rules.kind(char::from(code));
        }
        rules.has_letters = (0..128u8)
            .filter(u8::is_ascii_alphanumeric)
            .all(|code| rules.ascii[usize::from(code)] == Kind::Word);
        Some(rules)
    }

    /// Chooses the excluded characters; `None` if an added token consists of blanks.
    fn exclude(&mut self, locality: &Locality) -> Option<()> {
        for form in locality.forms.iter().filter(|form| !form.is_empty()) {
            // Marks change their order when the text is normalized.
            self.excluded.extend(form.chars().filter(|character| !character.is_ascii()));
            let kinds: Vec<Kind> = form.chars().map(|character| self.kind(character)).collect();
            if kinds.iter().all(|kind| matches!(kind, Kind::Blank | Kind::Removed)) {
                return None;
            }
            if kinds.iter().all(|kind| matches!(kind, Kind::Word | Kind::Removed)) {
                let word = kinds.iter().position(|&kind| kind == Kind::Word)?;
                self.excluded.extend(form.chars().nth(word));
            }
        }
        Some(())
    }

    fn kind(&self, character: char) -> Kind {
        if self.excluded.contains(&character) {
            return Kind::Other;
        }
        match self.tokenizer.character(character) {
            Some((normalized, kind)) if !normalized.contains(|c| self.excluded.contains(&c)) => {
                kind
            }
            _ => Kind::Other,
        }
    }
}

/// Shortens a text from one of its ends.
///
/// A run of characters of one word keeps only the characters at its ends if it is longer than any word that has
/// pieces: the word is unknown either way. A run of blanks keeps those at its ends, and so does a stretch of characters
/// that the normalizer removes. The tokens of the rest, and their places in the text, are those of the whole text.
pub(super) struct Abridger<'t> {
    text: &'t str,
    rules: Option<&'t Abridgement>,
    side: TruncationSide,
    /// Part of the text that has not been examined yet.
    rest: Range<usize>,
    /// Ranges that were kept, in the order in which they were found.
    pieces: Vec<Range<usize>>,
    len: usize,
    kinds: HashMap<char, Kind>,
}

impl<'t> Abridger<'t> {
    /// Starts at the end of the text that is kept if `side` is truncated.
    pub fn new(text: &'t str, side: TruncationSide, rules: Option<&'t Abridgement>) -> Self {
        let (rest, pieces, kinds) = (0..text.len(), Vec::new(), HashMap::new());
        Self { text, rules, side, rest, pieces, len: 0, kinds }
    }

    /// Continues until `len` bytes are kept or the text ends.
    pub fn extend(&mut self, len: usize) {
        while self.len < len && !self.rest.is_empty() {
            let (kind, run) = self.next_run();
            self.skip(run.len());
            let mut kept = self.kept(kind, run);
            if self.side == TruncationSide::Left {
                kept.reverse();
            }
            kept.into_iter().for_each(|piece| self.push(piece));
        }
    }

    /// Returns the shortened text.
    pub fn part(&self) -> Part<'static> {
        let mut pieces = self.pieces.clone();
        if self.side == TruncationSide::Left {
            pieces.reverse();
        }
        Part::of_pieces(self.text, &pieces, self.rest.is_empty())
    }

    fn push(&mut self, piece: Range<usize>) {
        self.len += piece.len();
        match (self.pieces.last_mut(), self.side) {
            (Some(last), TruncationSide::Right) if last.end == piece.start => last.end = piece.end,
            (Some(last), TruncationSide::Left) if last.start == piece.end => {
                last.start = piece.start;
            }
            _ => self.pieces.push(piece),
        }
    }

    fn skip(&mut self, len: usize) {
        self.rest = after(&self.rest, self.side, len);
    }

    /// Returns the next run of characters and its kind. Removed characters belong to the run that follows.
    fn next_run(&mut self) -> (Kind, Range<usize>) {
        let rest = self.rest.clone();
        let removed = self.run(rest.clone(), self.side, Kind::Removed);
        let left = after(&rest, self.side, removed.len());
        match next(self.text, &left, self.side).map(|(character, _)| self.kind(character)) {
            Some(kind @ (Kind::Word | Kind::Blank)) => (kind, self.run(rest, self.side, kind)),
            _ if removed.is_empty() => (Kind::Other, self.chunk(rest)),
            _ => (Kind::Removed, removed),
        }
    }

    /// Returns a chunk of characters of [`Kind::Other`], or of any kind if there are no rules.
    fn chunk(&mut self, rest: Range<usize>) -> Range<usize> {
        let limit = rest.len().min(CHUNK);
        if self.rules.is_none() {
            return match self.side {
                TruncationSide::Right => rest.start..ceil(self.text, rest.start + limit),
                TruncationSide::Left => floor(self.text, rest.end - limit)..rest.end,
            };
        }
        let mut left = rest.clone();
        while let Some((character, at)) = next(self.text, &left, self.side) {
            if rest.len() - left.len() >= limit || self.kind(character) != Kind::Other {
                break;
            }
            left = after(&left, self.side, at.len());
        }
        before(&rest, self.side, rest.len() - left.len())
    }

    fn kind(&mut self, character: char) -> Kind {
        let Some(rules) = self.rules else { return Kind::Other };
        match rules.ascii.get(character as usize) {
            Some(&kind) => kind,
            None => *self.kinds.entry(character).or_insert_with(|| rules.kind(character)),
        }
    }

    /// Returns the longest run of characters of a kind, and of removed ones, at the beginning or end of a range.
    fn run(&mut self, range: Range<usize>, side: TruncationSide, kind: Kind) -> Range<usize> {
        let mut left = range.clone();
        let mut next_compared = BLOCK;
        while let Some((character, at)) = next(self.text, &left, side) {
            let found = self.kind(character);
            if found != kind && found != Kind::Removed {
                break;
            }
            left = after(&left, side, at.len());
            // Long runs tend to repeat themselves.
            if range.len() - left.len() >= next_compared {
                left = self.skip_blocks(&range, left, side, kind);
                next_compared = range.len() - left.len() + BLOCK;
            }
        }
        before(&range, side, range.len() - left.len())
    }

    /// Advances while the next block equals the last one of the run, or has only letters and digits in a word.
    fn skip_blocks(
        &self,
        range: &Range<usize>,
        mut left: Range<usize>,
        side: TruncationSide,
        kind: Kind,
    ) -> Range<usize> {
        let bytes = self.text.as_bytes();
        let run = before(range, side, range.len() - left.len());
        let last = match side {
            TruncationSide::Right => run.end - BLOCK..run.end,
            TruncationSide::Left => run.start..run.start + BLOCK,
        };
        // Only between boundaries of characters, a block is a sequence of characters.
        let is_whole = [last.start, last.end].iter().all(|&at| self.text.is_char_boundary(at));
        let last = is_whole.then(|| &bytes[last]);
        let has_letters = kind == Kind::Word && self.rules.is_some_and(|rules| rules.has_letters);
        while left.len() >= BLOCK {
            let block = &bytes[before(&left, side, BLOCK)];
            // Without a branch per byte, the loop compiles to vector instructions.
            let is_word =
                || block.iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric());
            if Some(block) != last && !(has_letters && is_word()) {
                break;
            }
            left = after(&left, side, BLOCK);
        }
        left
    }

    /// Returns the pieces of a run that are kept, in the order of the text.
    fn kept(&mut self, kind: Kind, run: Range<usize>) -> Vec<Range<usize>> {
        let Some(rules) = self.rules else { return vec![run] };
        if kind == Kind::Other || run.len() <= rules.keep.saturating_mul(2) {
            return vec![run];
        }
        let (mut head, middle) = self.walk(run, TruncationSide::Right, kind);
        let (tail, _) = self.walk(middle, TruncationSide::Left, kind);
        head.extend(tail.into_iter().rev());
        head
    }

    /// Takes pieces from one end of a run until enough characters of its kind are kept. Returns them and the rest of the
    /// run.
    fn walk(
        &mut self,
        run: Range<usize>,
        side: TruncationSide,
        kind: Kind,
    ) -> (Vec<Range<usize>>, Range<usize>) {
        let (mut pieces, mut left, mut count) = (Vec::new(), run, 0);
        let (keep, keep_removed) = self.rules.map_or((0, 0), |r| (r.keep, r.keep_removed));
        while let Some((_, at)) = next(self.text, &left, side).filter(|_| count < keep) {
            let removed = self.run(left.clone(), side, Kind::Removed);
            let taken = if removed.is_empty() { at.clone() } else { removed.clone() };
            left = after(&left, side, taken.len());
            if removed.is_empty() {
                count += usize::from(kind != Kind::Removed);
                pieces.push(at);
            } else {
                let mut ends = self.ends(removed, keep_removed);
                if side == TruncationSide::Left {
                    ends.reverse();
                }
                pieces.extend(ends);
            }
        }
        (pieces, left)
    }

    /// Returns the first and the last `count` characters of a range.
    fn ends(&self, range: Range<usize>, count: usize) -> Vec<Range<usize>> {
        let text = &self.text[range.clone()];
        let first = text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
        let last = text.char_indices().rev().nth(count - 1).map_or(0, |(at, _)| at);
        if first >= last {
            return vec![range];
        }
        vec![range.start..range.start + first, range.start + last..range.end]
    }
}

/// Returns the first character of a range of the text, or on the left its last one, and its place.
fn next(text: &str, range: &Range<usize>, side: TruncationSide) -> Option<(char, Range<usize>)> {
    let part = &text[range.clone()];
    let character = match side {
        TruncationSide::Right => part.chars().next(),
        TruncationSide::Left => part.chars().next_back(),
    }?;
    Some((character, before(range, side, character.len_utf8())))
}

/// Returns the first `len` bytes of a range, or on the left its last ones.
fn before(range: &Range<usize>, side: TruncationSide, len: usize) -> Range<usize> {
    match side {
        TruncationSide::Right => range.start..range.start + len,
        TruncationSide::Left => range.end - len..range.end,
    }
}

/// Returns a range without its first `len` bytes, or on the left without its last ones.
fn after(range: &Range<usize>, side: TruncationSide, len: usize) -> Range<usize> {
    match side {
        TruncationSide::Right => range.start + len..range.end,
        TruncationSide::Left => range.start..range.end - len,
    }
}
