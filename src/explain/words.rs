//! Grouping of tokens into words.

use std::ops::Range;

use tokenizers::normalizers::StripAccents;
use tokenizers::{NormalizedString, Normalizer as _};

use super::explanation::Word;
use crate::input::tokenizer::Excerpt;

/// Number of bytes per block; each lookup counts the characters within one block.
const BLOCK: usize = 256;

/// Map from the bytes of a text to its characters.
pub(super) struct Characters<'a> {
    text: &'a str,
    /// Number of characters before each block.
    before: Vec<usize>,
}

impl<'a> Characters<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut before = vec![0];
        let mut count = 0;
        for block in text.as_bytes().chunks(BLOCK) {
            count += starts(block);
            before.push(count);
        }
        Self { text, before }
    }

    fn at(&self, byte: usize) -> usize {
        let block = byte / BLOCK;
        self.before[block] + starts(&self.text.as_bytes()[block * BLOCK..byte])
    }

    pub fn of(&self, bytes: &Range<usize>) -> Range<usize> {
        self.at(bytes.start)..self.at(bytes.end)
    }
}

/// Returns the number of characters that start in a part of a text.
fn starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// Consecutive tokens that belong together, and their place in the text.
#[derive(Clone)]
struct Group {
    tokens: Range<usize>,
    bytes: Range<usize>,
}

/// Groups tokens of a text into words with zero relevances. Token ranges are shifted by `before`, the number of special
/// tokens before the text.
pub(super) fn words(tokens: &Excerpt, characters: &Characters<'_>, before: usize) -> Vec<Word> {
    let text = characters.text;
    let groups = groups(tokens, text);
    let mut words: Vec<Group> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let joins = |index: usize| is_inner_apostrophe(&groups, index, text);
        match words.last_mut() {
            Some(word) if joins(index) || joins(index - 1) => {
                word.tokens.end = group.tokens.end;
                word.bytes.end = group.bytes.end;
            }
            _ => words.push(group.clone()),
        }
    }
    let word = |Group { tokens, bytes }: Group| {
        let Range { start, end } = characters.of(&bytes);
        Word {
            text: text[bytes.clone()].to_owned(),
            start,
            end,
            bytes,
            tokens: tokens.start + before..tokens.end + before,
            relevance: 0.0,
        }
    };
    words.into_iter().map(word).collect()
}

/// Groups tokens by the tokenizer's own words, which end at whitespace and around punctuation. A word has the marks of
/// its last character, even if the tokenizer removes them.
fn groups(tokens: &Excerpt, text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (token, bytes) in tokens.bytes.iter().enumerate() {
        let continues = token > 0 && tokens.word_ids[token] == tokens.word_ids[token - 1];
        match groups.last_mut() {
            Some(group) if continues => {
                group.tokens.end = token + 1;
                group.bytes.start = group.bytes.start.min(bytes.start);
                group.bytes.end = group.bytes.end.max(bytes.end);
            }
            _ => groups.push(Group { tokens: token..token + 1, bytes: bytes.clone() }),
        }
    }
    let nexts: Vec<usize> = groups.iter().skip(1).map(|group| group.bytes.start).collect();
    for (group, next) in groups.iter_mut().zip(nexts.into_iter().chain([text.len()])) {
        if group.bytes.start < group.bytes.end && group.bytes.end < next {
            let rest = &text[group.bytes.end..next];
            group.bytes.end += rest.find(|character| !is_mark(character)).unwrap_or(rest.len());
        }
    }
    groups
}

/// Returns `true` for a character that belongs to the one before it: a combining mark, a variation selector, a joiner,
/// or a tag of an emoji.
fn is_mark(character: char) -> bool {
    if character.is_ascii() {
        return false;
    }
    let is_joiner = matches!(character, '\u{200C}' | '\u{200D}' | '\u{E0020}'..='\u{E007F}');
    let mut text = NormalizedString::from(character.to_string());
    is_joiner || (StripAccents.normalize(&mut text).is_ok() && text.is_empty())
}

/// Returns `true` if a group is an apostrophe between letters or digits, as in `can't`.
fn is_inner_apostrophe(groups: &[Group], index: usize, text: &str) -> bool {
    let part = |group: &Group| &text[group.bytes.clone()];
    let around = index.checked_sub(1).and_then(|before| groups.get(before..index + 2));
    let Some([before, group, after]) = around else { return false };
    matches!(part(group), "'" | "\u{2019}")
        && before.bytes.end == group.bytes.start
        && group.bytes.end == after.bytes.start
        && part(before).ends_with(|last: char| last.is_alphanumeric() || is_mark(last))
        && part(after).starts_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tokenizer::Tokenizer;

    fn words_of(text: &str) -> Vec<String> {
        let tokenizer = Tokenizer::from_folder("models/emotion").unwrap();
        let tokens = tokenizer.whole(text).unwrap();
        let words = words(&tokens, &Characters::new(text), 1);
        let mut token = 1;
        for word in &words {
            assert_eq!(word.tokens.start, token, "each token belongs to one word");
            assert_eq!(word.text, text[word.bytes.clone()]);
            let start = text[..word.bytes.start].chars().count();
            assert_eq!((word.start, word.end), (start, start + word.text.chars().count()));
            token = word.tokens.end;
        }
        assert_eq!(token, tokens.ids.len() + 1);
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn groups_pieces_and_separates_punctuation() {
        assert_eq!(
            words_of("Unbelievably  good, isn't it?!"),
            ["Unbelievably", "good", ",", "isn't", "it", "?", "!"]
        );
        assert_eq!(
            words_of("Café Zoë’s 'rock'n'roll'"),
            ["Café", "Zoë’s", "'", "rock'n'roll", "'"]
        );
        assert_eq!(words_of("' ' it' s"), ["'", "'", "it", "'", "s"]);
        assert_eq!(words_of("我爱 you"), ["我", "爱", "you"]);
        assert_eq!(words_of(" \n"), [""; 0]);
    }

    #[test]
    fn word_has_the_marks_of_its_last_character() {
        for (text, words) in [
            ("नमस्ते", &["नमस्ते"][..]),
            ("नमस्ते, हिन्दी!", &["नमस्ते", ",", "हिन्दी", "!"]),
            ("cafe\u{301} ne\u{301}e", &["cafe\u{301}", "ne\u{301}e"]),
            ("a\u{301}\u{302}\u{303}.", &["a\u{301}\u{302}\u{303}", "."]),
            ("مَرْحَبًا بِكَ", &["مَرْحَبًا", "بِكَ"]),
            ("שָׁלוֹם עָלֶיךָ", &["שָׁלוֹם", "עָלֶיךָ"]),
            ("\u{2764}\u{FE0F} ok", &["\u{2764}\u{FE0F}", "ok"]),
            ("1\u{FE0F}\u{20E3} x", &["1\u{FE0F}\u{20E3}", "x"]),
            ("👩\u{200D}💻 ok", &["👩\u{200D}💻", "ok"]),
            ("🏴\u{E0067}\u{E0062}\u{E007F} ok", &["🏴\u{E0067}\u{E0062}\u{E007F}", "ok"]),
            ("cafe\u{301}'s", &["cafe\u{301}'s"]),
            ("ไทยนี้ ที่", &["ไทยนี้", "ที่"]),
            ("!\u{301}\u{302} x", &["!\u{301}\u{302}", "x"]),
            ("\u{301}x", &["x"]),
        ] {
            assert_eq!(words_of(text), words, "{text:?}");
        }
    }
}
