//! Texts longer than the model's limit.

use std::path::Path;

use distilbert::{
    Classifier, ClassifyOptions, Error, InputError, TokenBatch, Truncation, TruncationSide,
};
use tempfile::TempDir;
use test_support::bundled_model;
use test_support::generator::GeneratedModel;

/// Creates a model of 40 positions whose `[CLS]` is 2, `[SEP]` 3 and words `w0` 5, `w1` 6 and so on, up to `w114`.
pub fn model_of_words(tokenizer_config: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let words = (0..115).map(|word| format!("w{word}"));
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let vocabulary: Vec<String> = special.into_iter().chain(words).collect();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("vocab.txt", &vocabulary.join("\n"));
    write("tokenizer_config.json", tokenizer_config);
    folder
}

fn open(tokenizer_config: &str) -> Classifier {
    build(model_of_words(tokenizer_config).path())
}

fn build(folder: &Path) -> Classifier {
    Classifier::builder(folder).threads(1).build().unwrap()
}

/// Returns the text of the words `w0` to `w59`.
fn text() -> String {
    (0..60).map(|word| format!("w{word} ")).collect()
}

/// Returns the logits of a row with the words in the range.
fn logits(classifier: &Classifier, words: std::ops::Range<u32>) -> Vec<f32> {
    let ids: Vec<u32> = [2].into_iter().chain(words.map(|word| word + 5)).chain([3]).collect();
    classifier.logits(&TokenBatch::from_rows(&[ids]).unwrap()).unwrap()
}

#[test]
fn honors_length_and_side_of_the_checkpoint() {
    for (config, words, at) in [
        ("{}", 0..38, 4 * 38 - 10),
        (r#"{"model_max_length": 6}"#, 0..4, 12),
        (r#"{"model_max_length": 6, "truncation_side": "left"}"#, 56..60, 4 * 56 - 10),
        (r#"{"model_max_length": 1e30, "truncation_side": "right"}"#, 0..38, 4 * 38 - 10),
        (r#"{"model_max_length": 512, "truncation_side": "left"}"#, 22..60, 4 * 22 - 10),
    ] {
        let classifier = open(config);
        let found = classifier.classify(&text()).unwrap();
        assert_eq!(found.logits(), logits(&classifier, words.clone()), "{config}");
        assert_eq!(found.tokens(), words.len() + 2);
        assert_eq!(classifier.max_tokens(), words.len() + 2);
        assert_eq!(found.truncated_at(), Some(at), "{config}");
        assert_eq!(found.dropped_tokens(), Some(60 - words.len()));
        let side = classifier.tokenizer().unwrap().truncation_side();
        assert_eq!(found.cut().unwrap().side, side);
        assert_eq!(side == TruncationSide::Left, config.contains("left"));
    }
}

#[test]
fn side_can_be_chosen_per_call() {
    let classifier = open(r#"{"model_max_length": 6}"#);
    let with = |truncation| {
        let options = ClassifyOptions::default().truncation(truncation);
        classifier.classify_with(&text(), &options).unwrap()
    };
    assert_eq!(with(Truncation::Right).logits(), logits(&classifier, 0..4));
    assert_eq!(with(Truncation::Left).logits(), logits(&classifier, 56..60));
    assert_eq!(with(Truncation::Auto), with(Truncation::Right));
}

#[cfg(feature = "explain")]
#[test]
fn explanations_are_cut_like_predictions() {
    use distilbert::explain::ExplainOptions;

    let classifier = open(r#"{"model_max_length": 6, "truncation_side": "left"}"#);
    let explanation = classifier.explain(&text(), &ExplainOptions::default()).unwrap();
    assert_eq!(explanation.prediction(), &classifier.classify(&text()).unwrap());
    let words: Vec<&str> = explanation.words().iter().map(|word| word.text.as_str()).collect();
    assert_eq!(words, ["w56", "w57", "w58", "w59"]);
    assert_eq!(explanation.words()[0].start, 4 * 56 - 10);
}

#[test]
fn windows_stop_at_their_maximum() {
    let classifier = open(r#"{"model_max_length": 12}"#);
    let with = |max_windows| {
        let windows = Truncation::Windows { stride: 2, max_windows };
        classifier.classify_with(&text(), &ClassifyOptions::default().truncation(windows)).unwrap()
    };
    assert_eq!(with(Some(1)).logits(), logits(&classifier, 0..10));
    let two = [logits(&classifier, 0..10), logits(&classifier, 8..18)];
    let expected = two[0].iter().zip(&two[1]).map(|(a, b)| (a + b) / 2.0);
    for (found, expected) in with(Some(2)).logits().iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert_eq!((with(Some(2)).tokens(), with(Some(2)).dropped_tokens()), (20, Some(42)));
    assert_eq!(with(Some(2)).truncated_at(), Some(4 * 18 - 10));
    assert!(!with(None).truncated() && !with(Some(8)).truncated());
    assert_eq!(with(None), with(Some(8)));
}

#[test]
fn dropped_tokens_of_a_long_text_are_counted_on_request() {
    let classifier = build(&bundled_model());
    let text = "I was so happy. ".repeat(2000);
    let found = classifier.classify(&text).unwrap();
    assert!(found.truncated());
    assert_eq!((found.tokens(), found.dropped_tokens()), (512, None));
    assert_eq!(found.truncated_at(), Some(16 * 102));
    let counted = ClassifyOptions::default().count_dropped_tokens(true);
    let counted = classifier.classify_with(&text, &counted).unwrap();
    assert_eq!(counted.dropped_tokens(), Some(5 * 2000 - 510));
    assert_eq!(counted.logits(), found.logits());
    let strict = ClassifyOptions::default().truncation(Truncation::Error);
    let error = classifier.classify_with(&text, &strict).unwrap_err();
    assert!(matches!(error, Error::Input(InputError::TextTooLong { row: 0, limit: 512 })));
}

#[test]
fn bad_text_fails_alone() {
    let classifier = build(&bundled_model());
    let options = ClassifyOptions::default().truncation(Truncation::Error);
    let long = "word ".repeat(600);
    let texts = ["I miss you.", &long, "What a shock!", "", &long.repeat(10)];
    let found = classifier.classify_each(&texts, &options).unwrap();
    assert_eq!(found.len(), 5);
    for index in [0, 2, 3] {
        assert_eq!(found[index].as_ref().unwrap(), &classifier.classify(texts[index]).unwrap());
    }
    assert!(matches!(found[1], Err(InputError::TooManyTokens { row: 1, tokens: 602, .. })));
    assert!(matches!(found[4], Err(InputError::TextTooLong { row: 4, limit: 512 })));
    assert!(classifier.classify_each(&[""; 0], &options).unwrap().is_empty());
    let stride = Truncation::Windows { stride: 510, max_windows: None };
    let stride = ClassifyOptions::default().truncation(stride);
    let error = classifier.classify_each(&texts, &stride).unwrap_err();
    assert!(matches!(error, Error::Input(InputError::Stride { .. })));
}
