//! Batches of many texts, which are tokenized on the classifier's threads.

use std::sync::Arc;

use distilbert::{Classifier, ClassifyOptions, Error, InputError, Prediction, Truncation};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use test_support::Dice;

use crate::long_texts::model_of_words;

/// Texts that are longer than the model's limit.
const LONG: [usize; 2] = [470, 210];

fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

/// Returns a classifier of each kind of threads, the caller's alone first.
fn classifiers() -> Vec<Classifier> {
    let folder = model_of_words("{}");
    let builder = || Classifier::builder(folder.path());
    let own = [1, 2, 5].map(|threads| builder().threads(threads));
    let builders = own.into_iter().chain([builder().thread_pool(pool(2))]);
    builders.map(|builder| builder.build().unwrap()).collect()
}

/// Returns 500 texts of up to 38 words each, the most that the model reads, except for those in [`LONG`].
fn texts() -> Vec<String> {
    let mut dice = Dice(7);
    let mut text = |row| {
        let words = if LONG.contains(&row) { 100 } else { dice.below(39) };
        (0..words).map(|_| format!("w{} ", dice.below(115))).collect()
    };
    (0..500).map(&mut text).collect()
}

fn strict() -> ClassifyOptions {
    ClassifyOptions::default().truncation(Truncation::Error)
}

/// Returns what distinguishes a prediction from another.
fn key(prediction: &Prediction) -> (Vec<u32>, usize, Option<usize>) {
    let bits = prediction.logits().iter().map(|logit| logit.to_bits());
    (bits.collect(), prediction.tokens(), prediction.truncated_at())
}

#[test]
fn each_text_gets_the_result_that_it_gets_alone() {
    let (classifiers, texts) = (classifiers(), texts());
    let alone = |text: &String| key(&classifiers[0].classify(text).unwrap());
    let expected: Vec<_> = texts.iter().map(alone).collect();
    for classifier in &classifiers {
        let found = classifier.classify_batch(&texts).unwrap();
        assert!(found.iter().map(key).eq(expected.iter().cloned()));
    }
}

#[test]
fn the_first_text_that_fails_is_the_error() {
    let texts = texts();
    for classifier in &classifiers() {
        for _ in 0..5 {
            let error = classifier.classify_batch_with(&texts, &strict()).unwrap_err();
            let Error::Input(InputError::TooManyTokens { row, tokens: 102, limit: 40 }) = error
            else {
                panic!("{error}");
            };
            assert_eq!(row, LONG[1]);
        }
    }
}

#[test]
fn texts_fail_alone() {
    let texts = texts();
    for classifier in &classifiers() {
        let expected = classifier.classify_batch(&texts).unwrap();
        let found = classifier.classify_each(&texts, &strict()).unwrap();
        assert_eq!(found.len(), texts.len());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            match found {
                Ok(found) => assert_eq!(key(found), key(expected)),
                Err(InputError::TooManyTokens { row, .. }) => {
                    assert_eq!(*row, index);
                    assert!(LONG.contains(&index));
                }
                Err(error) => panic!("{error}"),
            }
        }
        let stride = Truncation::Windows { stride: 500, max_windows: None };
        let options = ClassifyOptions::default().truncation(stride);
        let error = classifier.classify_each(&texts, &options).unwrap_err();
        assert!(matches!(error, Error::Input(InputError::Stride { stride: 500, .. })), "{error}");
    }
}

#[test]
fn concurrent_batches_share_the_threads() {
    let texts = texts();
    for classifier in &classifiers() {
        let expected: Vec<_> = classifier.classify_batch(&texts).unwrap().iter().map(key).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let found = classifier.classify_batch(&texts).unwrap();
                        assert!(found.iter().map(key).eq(expected.iter().cloned()));
                    }
                });
            }
        });
    }
}

#[test]
fn tasks_of_the_pool_classify_batches() {
    let (folder, texts) = (model_of_words("{}"), texts());
    let pool = pool(3);
    let classifier = Classifier::builder(folder.path()).thread_pool(pool.clone()).build().unwrap();
    let expected = classifier.classify_batch(&texts).unwrap();
    pool.install(|| {
        texts.par_chunks(100).zip(expected.par_chunks(100)).for_each(|(texts, expected)| {
            let found = classifier.classify_batch(texts).unwrap();
            assert!(found.iter().map(key).eq(expected.iter().map(key)));
        });
    });
}

/// Text that calls the classifier when it is asked for.
struct Recursive<'a>(&'a Classifier, &'a str);

impl AsRef<str> for Recursive<'_> {
    fn as_ref(&self) -> &str {
        self.0.classify(self.1).unwrap();
        self.1
    }
}

#[test]
fn texts_may_call_the_classifier() {
    let texts = texts();
    for classifier in &classifiers() {
        let expected = classifier.classify_batch(&texts).unwrap();
        let recursive: Vec<_> = texts.iter().map(|text| Recursive(classifier, text)).collect();
        let found = classifier.classify_batch(&recursive).unwrap();
        assert!(found.iter().map(key).eq(expected.iter().map(key)));
    }
}
