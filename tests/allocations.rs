//! A warm call makes no allocations. This is the only test of its process because the counter covers every thread.

use std::sync::Barrier;
use std::thread;

use distilbert::{Classifier, TokenBatch};
use test_support::counting::{Counting, allocations};
use test_support::{Dice, bundled_model, precisions};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns batches of one to four rows of mixed lengths. Some have a row that is long enough for attention in integers.
fn batches() -> Vec<TokenBatch> {
    const LONG: usize = 100;
    let mut dice = Dice(1);
    let mut row = |is_long: bool| -> Vec<u32> {
        let len = if is_long { LONG } else { 1 + dice.below(24) };
        (0..len).map(|_| 1 + dice.below(900) as u32).collect()
    };
    (0..50)
        .map(|index| {
            let rows: Vec<Vec<u32>> =
                (0..1 + index % 4).map(|at| row(at == 0 && index % 10 == 3)).collect();
            TokenBatch::from_rows(&rows).unwrap()
        })
        .collect()
}

/// Returns the number of allocations while several callers use a classifier whose calls take turns.
fn allocations_of_concurrent_callers(classifier: &Classifier, batches: &[TokenBatch]) -> usize {
    const CALLERS: usize = 16;
    let (ready, done) = (Barrier::new(CALLERS + 1), Barrier::new(CALLERS + 1));
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut logits = Vec::with_capacity(1000);
                ready.wait();
                ready.wait();
                for batch in batches {
                    classifier.logits_into(batch, &mut logits).unwrap();
                }
                done.wait();
                // No caller ends before the allocations are counted.
                ready.wait();
            });
        }
        // The callers have what they need, but they have not started.
        ready.wait();
        let before = allocations();
        ready.wait();
        done.wait();
        let count = allocations() - before;
        ready.wait();
        count
    })
}

#[test]
fn warm_calls_make_no_allocations() {
    let batches = batches();
    for precision in precisions() {
        for threads in [1, 2] {
            let classifier = Classifier::builder(bundled_model())
                .precision(precision)
                .threads(threads)
                .build()
                .unwrap();
            let mut logits = Vec::new();
            let mut call = |batch| classifier.logits_into(batch, &mut logits).unwrap();
            let cold = allocations();
            batches.iter().for_each(&mut call);
            let warm = allocations();
            assert!(warm > cold, "the allocator does not count");
            // Few enough for the test to end before the harness reports it as slow, which allocates.
            batches.iter().cycle().take(200).for_each(&mut call);
            assert_eq!(allocations() - warm, 0, "{precision}, {threads} threads");
            if threads > 1 {
                let count = allocations_of_concurrent_callers(&classifier, &batches[..8]);
                assert_eq!(count, 0, "{precision}: callers that wait hold scratch");
            }
        }
    }
}
