//! Texts of any length under every truncation, against a naive cut of the whole text's tokens.

use std::sync::LazyLock;

use distilbert::explain::ExplainOptions;
use distilbert::{Classifier, ClassifyOptions, TokenBatch, Truncation, TruncationSide};
use test_support::model_files;

use crate::budget::within;
use crate::bytes::Bytes;
use crate::model;

/// Classifiers of a tokenizer with truncation to 20 tokens on the right, and to 24 on the left.
static CLASSIFIERS: LazyLock<[Classifier; 2]> = LazyLock::new(|| {
    let left = serde_json::json!({"truncation_side": "left"});
    let configs = [model_files::tokenizer_config(), left];
    configs.map(|config| {
        let mut files = model::base();
        files.insert("tokenizer_config.json", model_files::text(&config));
        let model = model_files::model_bytes(files);
        Classifier::builder_from(model).threads(1).build().unwrap()
    })
});

const WORDS: [&str; 14] = [
    "w5",
    "w89",
    "w7",
    " ",
    "\n",
    "[MASK]",
    ",",
    "你",
    "e\u{301}",
    "\u{1F600}",
    "w5w6",
    "x",
    "\u{0}",
    "<user>",
];

/// Classifies a text, and compares the prediction with that of the tokens that should be kept.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let classifier = &CLASSIFIERS[bytes.below(2)];
    let truncation = truncation(&mut bytes);
    let max_tokens = match bytes.byte() {
        limit @ 1.. => Some(usize::from(limit - 1)),
        0 => None,
    };
    let choice = bytes.byte();
    // Every window costs as much as a text.
    let longest = if matches!(truncation, Truncation::Windows { .. }) { 1 << 11 } else { 1 << 15 };
    let text = text(&mut bytes, longest);
    let mut options =
        ClassifyOptions::default().truncation(truncation).count_dropped_tokens(choice & 1 == 1);
    if let Some(limit) = max_tokens {
        options = options.max_tokens(limit);
    }
    let ids = classifier.tokenizer().unwrap().encode(&text).unwrap().ids;
    let limit = classifier.max_tokens().min(max_tokens.unwrap_or(usize::MAX));
    let found = within(text.len(), model::CONSTANT, || classifier.classify_with(&text, &options));
    if choice & 6 == 2 {
        let explained =
            classifier.explain(&text, &ExplainOptions::default().truncation(truncation));
        let finite = |explanation: distilbert::explain::Explanation| {
            assert!(explanation.words().iter().all(|word| word.relevance.is_finite()));
        };
        explained.map_or_else(|error| drop(error.to_string()), finite);
    }
    // The vocabulary lacks `[MASK]`, so the tokenizer gives it an id that no embedding has.
    if ids.iter().any(|&id| id as usize >= classifier.config().vocab_size) {
        return;
    }
    let Some(room) = limit.checked_sub(2) else { return assert!(found.is_err()) };
    let Some(kept) = kept(classifier, truncation, &ids, room) else {
        return assert!(found.is_err(), "{truncation} should refuse {} tokens", ids.len());
    };
    let found = found.unwrap();
    assert_eq!(found.truncated(), kept.len() < ids.len());
    assert_eq!(found.tokens(), kept.len() + 2);
    if let Some(dropped) = found.dropped_tokens() {
        assert_eq!(dropped, ids.len() - kept.len());
    }
    if kept.len() <= room {
        let row = classifier.tokenizer().unwrap().with_special_tokens(kept);
        let logits = classifier.logits(&TokenBatch::from_rows(&[row]).unwrap()).unwrap();
        assert_eq!(found.logits(), logits);
    }
}

/// Returns the tokens that should be kept; `None` if the text should be refused.
fn kept<'i>(
    classifier: &Classifier,
    truncation: Truncation,
    ids: &'i [u32],
    room: usize,
) -> Option<&'i [u32]> {
    let len = ids.len();
    let left = &ids[len.saturating_sub(room)..];
    let right = &ids[..len.min(room)];
    match truncation {
        Truncation::Left => Some(left),
        Truncation::Right => Some(right),
        Truncation::Auto => Some(match classifier.tokenizer().unwrap().truncation_side() {
            TruncationSide::Left => left,
            TruncationSide::Right => right,
        }),
        Truncation::Error => (len <= room).then_some(ids),
        Truncation::Windows { stride, .. } if stride >= room => None,
        Truncation::Windows { stride, max_windows } => {
            let more = max_windows.map_or(usize::MAX, |most| most.max(1) - 1);
            let most = more.saturating_mul(room - stride).saturating_add(room);
            Some(&ids[..len.min(most)])
        }
        other => panic!("unknown: {other}"),
    }
}

fn truncation(bytes: &mut Bytes<'_>) -> Truncation {
    match bytes.below(6) {
        0 => Truncation::Auto,
        1 => Truncation::Right,
        2 => Truncation::Left,
        3 => Truncation::Error,
        _ => Truncation::Windows {
            stride: match bytes.byte() {
                255 => usize::MAX,
                stride => stride.into(),
            },
            max_windows: match bytes.byte() {
                0 => None,
                255 => Some(usize::MAX),
                most => Some(usize::from(most) - 1),
            },
        },
    }
}

/// Reads a text: characters, or runs of words, up to about a length in bytes.
fn text(bytes: &mut Bytes<'_>, longest: usize) -> String {
    if bytes.byte() & 1 == 0 {
        return String::from_utf8_lossy(bytes.slice(longest)).into_owned();
    }
    let mut text = String::new();
    while !bytes.is_empty() && text.len() < longest {
        let word = bytes.choose(&WORDS);
        let count = bytes.byte();
        let times = if count < 128 { usize::from(count) % 4 + 1 } else { 1 << (count % 13) };
        let space = if count & 4 == 0 { " " } else { "" };
        let times = times.min(longest / word.len());
        (0..times).for_each(|_| text.extend([word, space]));
    }
    text
}
