//! Memory for a text of 100 MB. This is the only test of its process because the counter covers every thread.

#![cfg(feature = "text")]

use distilbert::Classifier;
use test_support::bundled_model;
use test_support::counting::{Counting, peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn long_text_takes_no_more_memory_than_a_short_one() {
    const LEN: usize = 100_000_000;
    let classifier = Classifier::builder(bundled_model()).threads(1).build().unwrap();
    let classify = |text: &str| peak(|| drop(classifier.classify(text).unwrap()));
    classify(&"word ".repeat(512));
    let short = classify(&"word ".repeat(512));
    for unit in ["word ", "x", " ", "\0", "我", "nA9b", "é", "😀", "a,b;"] {
        let long = classify(&unit.repeat(LEN / unit.len()));
        assert!(long < short + 20_000_000, "{unit:?}: {long} bytes, {short} for a short text");
    }
}
