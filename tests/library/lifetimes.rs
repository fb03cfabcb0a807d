//! Classifiers in destructors, in forked children, and in tasks of the pool that they compute on.

#![cfg(feature = "text")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use distilbert::{Classifier, ClassifierBuilder, Precision};
use rayon::{ThreadPool, ThreadPoolBuilder};
use test_support::bundled_model;

const TEXT: &str = "I can't believe we won!";

fn builder() -> ClassifierBuilder {
    Classifier::builder(bundled_model()).precision(Precision::F32)
}

fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

/// Returns a classifier of each kind of threads.
fn classifiers() -> [Classifier; 3] {
    let builders = [builder().threads(1), builder().threads(2), builder().thread_pool(pool(2))];
    builders.map(|builder| builder.build().unwrap())
}

/// Returns the bits of a prediction and, if there are explanations, of one.
fn results(classifier: &Classifier) -> Vec<u32> {
    let prediction = classifier.classify(TEXT).unwrap();
    #[cfg_attr(not(feature = "explain"), expect(unused_mut, reason = "nothing to add"))]
    let mut values = prediction.logits().to_vec();
    #[cfg(feature = "explain")]
    {
        let explanation = classifier.explain(TEXT, &Default::default()).unwrap();
        values.extend(explanation.words().iter().map(|word| word.relevance));
    }
    values.into_iter().map(f32::to_bits).collect()
}

/// Uses a classifier when it is dropped.
struct OnDrop<'a> {
    classifier: &'a Classifier,
    found: &'a mut Vec<u32>,
}

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        assert!(std::thread::panicking());
        *self.found = results(self.classifier);
    }
}

#[test]
fn destructors_compute_while_a_thread_unwinds() {
    for classifier in &classifiers() {
        let expected = results(classifier);
        let mut found = Vec::new();
        let unwind = || {
            let _use = OnDrop { classifier, found: &mut found };
            panic!("the caller's");
        };
        assert!(catch_unwind(AssertUnwindSafe(unwind)).is_err());
        assert_eq!(found, expected);
        assert_eq!(results(classifier), expected);
    }
}

/// Every task of the pool calls the classifier, on stacks that hold few calls.
#[test]
fn tasks_of_the_pool_call_the_classifier() {
    use rayon::prelude::*;

    let builder = ThreadPoolBuilder::new().num_threads(3).stack_size(256 << 10);
    let pool = Arc::new(builder.build().unwrap());
    let folder = tempfile::TempDir::new().unwrap();
    test_support::generator::GeneratedModel::small().write(folder.path());
    let classifier = Classifier::builder(folder.path()).thread_pool(pool.clone()).build().unwrap();
    let batch = distilbert::TokenBatch::from_rows(&[[1, 7, 2]]).unwrap();
    let expected = classifier.logits(&batch).unwrap();
    pool.install(|| {
        (0..5_000).into_par_iter().with_max_len(1).for_each(|_| {
            assert_eq!(classifier.logits(&batch).unwrap(), expected);
        });
    });
}

#[cfg(unix)]
mod forks {
    use std::sync::atomic::{AtomicBool, Ordering};

    use test_support::fork::succeeds_in_child;

    use super::*;

    #[test]
    fn a_child_computes_and_drops_what_a_quiet_parent_has_built() {
        for classifier in classifiers() {
            let expected = results(&classifier);
            assert!(succeeds_in_child(move || {
                assert_eq!(results(&classifier), expected);
                drop(classifier);
            }));
        }
    }

    /// Enough texts to be tokenized on several threads.
    #[test]
    fn a_child_classifies_many_texts() {
        let folder = crate::long_texts::model_of_words("{}");
        let builder = || Classifier::builder(folder.path());
        let builders = [builder().threads(1), builder().threads(2), builder().thread_pool(pool(2))];
        let texts: Vec<String> =
            (0..300).map(|row| format!("w{} w2 ", row % 110).repeat(5)).collect();
        for classifier in builders.map(|builder| builder.build().unwrap()) {
            let expected = classifier.classify_batch(&texts).unwrap();
            assert!(succeeds_in_child(|| {
                assert_eq!(classifier.classify_batch(&texts).unwrap(), expected);
            }));
        }
    }

    #[test]
    fn a_child_drops_a_classifier_that_it_never_uses() {
        for classifier in classifiers() {
            assert!(succeeds_in_child(move || drop(classifier)));
        }
    }

    #[test]
    fn a_childs_child_computes() {
        for classifier in classifiers() {
            let expected = results(&classifier);
            assert!(succeeds_in_child(move || {
                assert_eq!(results(&classifier), expected);
                assert!(succeeds_in_child(move || assert_eq!(results(&classifier), expected)));
            }));
        }
    }

    #[test]
    fn a_child_builds_a_classifier_of_its_own() {
        let expected = results(&classifiers()[1]);
        assert!(succeeds_in_child(|| {
            classifiers().iter().for_each(|classifier| assert_eq!(results(classifier), expected));
        }));
    }

    #[test]
    fn a_child_is_told_that_a_batcher_is_its_parents() {
        use distilbert::{Batcher, BatcherError, Error};

        fn is_refused<T>(result: Result<T, Error>) -> bool {
            matches!(result, Err(Error::Batcher(BatcherError::Forked)))
        }

        let classifier = Arc::new(builder().threads(1).build().unwrap());
        let expected = classifier.classify(TEXT).unwrap();
        let batcher = Batcher::builder(classifier.clone()).workers(2).build().unwrap();
        let (waited, dropped) = (batcher.submit(TEXT).unwrap(), batcher.submit(TEXT).unwrap());
        assert!(succeeds_in_child(|| {
            assert!(is_refused(batcher.submit(TEXT)));
            assert!(is_refused(batcher.submit_tokens(&[101, 102])));
            assert!(is_refused(batcher.statistics()));
            assert!(waited.is_ready());
            assert!(is_refused(waited.wait()));
            drop(dropped);
            batcher.shutdown(distilbert::batcher::Shutdown::Drain);
            drop(batcher);
            let own = Batcher::builder(classifier).workers(1).build().unwrap();
            assert_eq!(own.submit(TEXT).unwrap().wait().unwrap(), expected);
        }));
    }

    /// Stops the other threads when it is dropped, even by a panic.
    struct Stop<'a>(&'a AtomicBool);

    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_child_computes_while_its_parents_threads_did() {
        for classifier in &classifiers() {
            let (expected, stop) = (results(classifier), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let _stop = Stop(&stop);
                for _ in 0..3 {
                    scope.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            results(classifier);
                        }
                    });
                }
                for _ in 0..20 {
                    std::thread::sleep(std::time::Duration::from_millis(3));
                    assert!(succeeds_in_child(|| assert_eq!(results(classifier), expected)));
                    // The parent goes on undisturbed.
                    assert_eq!(results(classifier), expected);
                }
            });
        }
    }
}
