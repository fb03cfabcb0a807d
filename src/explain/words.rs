//! Grouping of tokens into words.

use std::ops::Range;

use super::explanation::Word;
use crate::input::tokenizer::Encoding;

/// Map from the characters of a text to its bytes.
pub(super) struct Characters<'a> {
    text: &'a str,
    /// Byte offset of each character, and the length of the text.
    starts: Vec<usize>,
}

impl<'a> Characters<'a> {
    pub fn new(text: &'a str) -> Self {
        let starts = text.char_indices().map(|(start, _)| start).chain([text.len()]).collect();
        Self { text, starts }
    }

    pub fn bytes(&self, characters: Range<usize>) -> Range<usize> {
        self.starts[characters.start]..self.starts[characters.end]
    }

    pub fn text(&self, characters: Range<usize>) -> &'a str {
        &self.text[self.bytes(characters)]
    }
}

/// Consecutive tokens that belong together, and their characters.
#[derive(Clone)]
struct Group {
    tokens: Range<usize>,
    characters: Range<usize>,
}

/// Groups the first `tokens` tokens of a text into words with zero relevances. Token ranges are shifted by
/// `before`, the number of special tokens before the text.
pub(super) fn words(
    encoding: &Encoding,
    characters: &Characters<'_>,
    tokens: usize,
    before: usize,
) -> Vec<Word> {
    let groups = groups(encoding, tokens);
    let mut words: Vec<Group> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let joins = |index: usize| is_inner_apostrophe(&groups, index, characters);
        match words.last_mut() {
            Some(word) if joins(index) || joins(index - 1) => {
                word.tokens.end = group.tokens.end;
                word.characters.end = group.characters.end;
            }
            _ => words.push(group.clone()),
        }
    }
    let word = |Group { tokens, characters: range }: Group| Word {
        text: characters.text(range.clone()).to_owned(),
        start: range.start,
        end: range.end,
        bytes: characters.bytes(range),
        tokens: tokens.start + before..tokens.end + before,
        relevance: 0.0,
    };
    words.into_iter().map(word).collect()
}

/// Groups tokens by the tokenizer's own words, which end at whitespace and around punctuation.
fn groups(encoding: &Encoding, tokens: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for token in 0..tokens {
        let (start, end) = encoding.offsets[token];
        let continues = token > 0 && encoding.word_ids[token] == encoding.word_ids[token - 1];
        match groups.last_mut() {
            Some(group) if continues => {
                group.tokens.end = token + 1;
                group.characters.start = group.characters.start.min(start);
                group.characters.end = group.characters.end.max(end);
            }
            _ => groups.push(Group { tokens: token..token + 1, characters: start..end }),
        }
    }
    groups
}

/// Returns `true` if a group is an apostrophe between letters or digits, as in `can't`.
fn is_inner_apostrophe(groups: &[Group], index: usize, characters: &Characters<'_>) -> bool {
    let text = |group: &Group| characters.text(group.characters.clone());
    let around = index.checked_sub(1).and_then(|before| groups.get(before..index + 2));
    let Some([before, group, after]) = around else { return false };
    matches!(text(group), "'" | "\u{2019}")
        && before.characters.end == group.characters.start
        && group.characters.end == after.characters.start
        && text(before).ends_with(char::is_alphanumeric)
        && text(after).starts_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::tokenizer::Tokenizer;

    fn words_of(text: &str) -> Vec<String> {
        let tokenizer = Tokenizer::from_folder("models/emotion").unwrap();
        let encoding = tokenizer.encode(text).unwrap();
        let words = words(&encoding, &Characters::new(text), encoding.ids.len(), 1);
        let mut token = 1;
        for word in &words {
            assert_eq!(word.tokens.start, token, "each token belongs to one word");
            assert_eq!(word.text, text[word.bytes.clone()]);
            let start = text[..word.bytes.start].chars().count();
            assert_eq!((word.start, word.end), (start, start + word.text.chars().count()));
            token = word.tokens.end;
        }
        assert_eq!(token, encoding.ids.len() + 1);
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
}
