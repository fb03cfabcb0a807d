use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NFC, NFKC, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, NormalizerWrapper};

use super::*;
use crate::random::SplitMix64;

const SIDES: [TruncationSide; 2] = [TruncationSide::Right, TruncationSide::Left];

/// Words that are split into pieces have at most this many characters.
const LONGEST_WORD: usize = 9;

fn tokenizer(
    normalizer: Option<NormalizerWrapper>,
    added: impl IntoIterator<Item = AddedToken>,
) -> Tokenizer {
    let entries = "[PAD] [UNK] [CLS] [SEP] a ##a b ##b c ##c ab ##ab , . ! 中 文 é ##é e ##e";
    let entries = WordPiece::read_bytes(entries.replace(' ', "\n").as_bytes()).unwrap();
    let model = WordPiece::builder()
        .vocab(entries)
        .unk_token("[UNK]".to_owned())
        .max_input_chars_per_word(LONGEST_WORD)
        .build()
        .unwrap();
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_normalizer(normalizer).unwrap();
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    let special = ["[CLS]", "[SEP]"].map(|token| AddedToken::from(token, true));
    inner.add_special_tokens(special).unwrap();
    inner.add_tokens(added).unwrap();
    Tokenizer::of_parts(inner, vec![2], vec![3])
}

fn bert(clean: bool, chinese: bool, strip: Option<bool>, lower: bool) -> Option<NormalizerWrapper> {
    Some(BertNormalizer::new(clean, chinese, strip, lower).into())
}

/// Returns tokenizers with all kinds of normalizers and added tokens.
fn tokenizers() -> Vec<Tokenizer> {
    let token = |content: &str, normalized| AddedToken::from(content, false).normalized(normalized);
    let sequence = |first: NormalizerWrapper| {
        let bert = BertNormalizer::new(true, true, None, true).into();
        Some(Sequence::new(vec![first, bert]).into())
    };
    let spaced = [token("a b", true), token("c\u{301} ", false), token(" e", true)];
    let words = [
        token("ab", true).single_word(true),
        token("ccc", false).lstrip(true),
        token("<b>", true).rstrip(true).lstrip(true),
        token("e\u{301}", false),
    ];
    let overlapping = [token("aa", true), token("bcb", false), token("a,a", true)];
    vec![
        tokenizer(bert(true, true, None, true), []),
        tokenizer(bert(true, true, Some(false), true), [token("<b>", true), token("<B", false)]),
        tokenizer(bert(false, false, None, false), words.clone()),
        tokenizer(bert(true, true, None, true), words),
        tokenizer(bert(true, true, None, true), spaced.clone()),
        tokenizer(bert(false, true, Some(true), false), spaced),
        tokenizer(bert(true, true, None, true), overlapping),
        tokenizer(bert(true, true, None, true), [token("中", false), token("\u{301}", false)]),
        tokenizer(bert(true, true, None, true), [token("  ", false)]),
        tokenizer(sequence(NFC.into()), [token("é", true)]),
        tokenizer(sequence(NFKC.into()), [token("<b>", true)]),
        tokenizer(Some(NFC.into()), []),
        tokenizer(None, [token("<b>", false).single_word(true)]),
    ]
}

/// Words, runs, marks, separators and added tokens.
const PARTS: [&str; 48] = [
    "a",
    "b",
    "c",
    "ab",
    "abc",
    "é",
    "e\u{301}",
    "E\u{302}\u{323}",
    " ",
    "  ",
    "\n",
    "\t",
    "\0",
    "\u{85}",
    "\u{B}",
    "\u{AD}",
    "\u{200D}",
    "\u{FFFD}",
    "\u{301}",
    "\u{323}\u{301}",
    ",",
    ".",
    "!",
    "_",
    "<",
    ">",
    "<b>",
    "<B>",
    "[CLS]",
    "[SEP",
    "[CLS",
    "]",
    "中",
    "文",
    "\u{F900}",
    "한",
    "\u{1112}\u{1161}",
    "न",
    "स्ते",
    "\u{3000}",
    "\u{A0}",
    "😀",
    "≮",
    "\u{338}",
    "İ",
    "ﬁ",
    "a b",
    "e\u{301} ",
];

/// Returns a text of random parts.
fn random_text(random: &mut SplitMix64) -> String {
    let mut text = String::new();
    let target = 200 + random.below(3000);
    while text.len() < target {
        let first = PARTS[random.below(PARTS.len())];
        match random.below(12) {
            0 => text += &first.repeat(random.below(400)),
            1 => {
                let second = PARTS[random.below(PARTS.len())];
                text += &(first.to_owned() + second).repeat(random.below(200));
            }
            2 => text += &" \n\0"[random.below(3)..].repeat(random.below(300)),
            _ => text += first,
        }
    }
    text
}

/// Checks that an excerpt has the tokens of the whole text.
fn check(tokenizer: &Tokenizer, text: &str, side: TruncationSide, count: usize) {
    let whole = tokenizer.whole(text).unwrap();
    let mut expected = whole.clone();
    let found = tokenizer.excerpt_of_long(text, side, count).unwrap();
    let (all, len) = (whole.ids.len(), found.ids.len());
    if found.is_whole {
        assert_eq!(len, all, "{side} {count}: {text:?}");
    } else {
        assert!(count <= len && len <= all, "{side} {count}: {len} of {all} tokens of {text:?}");
    }
    expected.keep(match side {
        TruncationSide::Right => 0..len,
        TruncationSide::Left => all - len..all,
    });
    assert_eq!(found.ids, expected.ids, "{side} {count}: {text:?}");
    // An added token includes the blanks that it strips.
    let trimmed =
        |tokens: &[String]| tokens.iter().map(|token| token.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(&found.tokens), trimmed(&expected.tokens), "{side} {count}: {text:?}");
    assert_eq!(found.bytes, expected.bytes, "{side} {count}: {text:?}");
    let first = |words: &[u32]| words.iter().map(|word| word - words[0]).collect::<Vec<_>>();
    assert_eq!(first(&found.word_ids), first(&expected.word_ids), "{side} {count}: {text:?}");
}

#[test]
fn excerpts_have_the_tokens_of_the_whole_text() {
    let tokenizers = tokenizers();
    let mut random = SplitMix64::new(7);
    for _ in 0..150 {
        let text = random_text(&mut random);
        for tokenizer in &tokenizers {
            for side in SIDES {
                for count in [1, 3, 20] {
                    check(tokenizer, &text, side, count);
                }
            }
        }
    }
}

#[test]
fn excerpts_of_real_vocabulary_match() {
    let tokenizer = Tokenizer::from_folder("models/emotion").unwrap();
    let mut random = SplitMix64::new(8);
    for _ in 0..60 {
        let text = random_text(&mut random) + &"Some text, as people write it. ".repeat(40);
        for side in SIDES {
            for count in [1, 40] {
                check(&tokenizer, &text, side, count);
            }
        }
    }
}

#[test]
fn pieces_have_the_tokens_of_the_whole_text() {
    let mut tokenizers = tokenizers();
    tokenizers.push(Tokenizer::from_folder("models/emotion").unwrap());
    let mut random = SplitMix64::new(9);
    let mut most = 0;
    for _ in 0..60 {
        let text = (0..3).map(|_| random_text(&mut random)).collect::<String>();
        for tokenizer in &tokenizers {
            let whole = tokenizer.whole(&text).unwrap();
            let expected: Vec<_> = whole.ids.into_iter().zip(whole.bytes).collect();
            for len in [200, 1000] {
                let (mut found, mut pieces) = (Vec::new(), 0);
                let take = |id, place: Range<usize>| found.push((id, place));
                tokenizer.each_token_of_pieces(&text, len, || pieces += 1, take).unwrap();
                assert_eq!(found, expected, "{len}: {text:?}");
                most = most.max(pieces);
            }
        }
    }
    assert!(most > 5, "at most {most} pieces");
}

#[test]
fn long_added_tokens_cost_no_more_than_short_ones() {
    let with = |len| {
        let token = AddedToken::from("a".repeat(len), false);
        tokenizer(bert(true, true, None, true), [token])
    };
    assert!(with(256).locality.is_some());
    assert!(with(1000).locality.is_none());
}

/// Returns the number of bytes that are tokenized for an excerpt.
fn cost(text: &str, side: TruncationSide) -> usize {
    let tokenizer = Tokenizer::from_folder("models/emotion").unwrap();
    let mut abridger = Abridger::new(text, side, tokenizer.abridgement.as_ref());
    abridger.extend(60_000);
    abridger.part().text.len()
}

#[test]
fn long_runs_are_left_out() {
    let long = 2_000_000;
    for unit in ["a", " ", "\0", "é", "e\u{301}", "😀", "a\0", " \0", "\u{301}", "nAb3", "\n ", "न"]
    {
        let text = format!("Good day. {} So bad, end!", unit.repeat(long / unit.len()));
        for side in SIDES {
            let cost = cost(&text, side);
            assert!(cost < 30_000, "{unit:?}: {cost} bytes");
            let tokenizer = Tokenizer::from_folder("models/emotion").unwrap();
            let excerpt = tokenizer.excerpt(&text, side, 511).unwrap();
            assert!(excerpt.is_whole, "{unit:?}");
            assert_eq!(excerpt.bytes.last(), Some(&(text.len() - 1..text.len())));
            let short = format!("Good day. {} So bad, end!", unit.repeat(3000));
            assert_eq!(excerpt.ids, tokenizer.whole(&short).unwrap().ids, "{unit:?}");
        }
    }
}
