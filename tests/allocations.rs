//! A warm call makes no allocations. This is the only test of its process because the counter covers every thread.

use distilbert::{Classifier, Precision, TokenBatch};
use test_support::counting::{Counting, allocations};
use test_support::{Dice, bundled_model};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns batches of one to four rows of mixed lengths.
fn batches() -> Vec<TokenBatch> {
    let mut dice = Dice(1);
    let mut row = || -> Vec<u32> {
        let len = 1 + dice.below(24);
        (0..len).map(|_| 1 + dice.below(900) as u32).collect()
    };
    (0..50)
        .map(|index| {
            let rows: Vec<Vec<u32>> = (0..1 + index % 4).map(|_| row()).collect();
            TokenBatch::from_rows(&rows).unwrap()
        })
        .collect()
}

#[test]
fn warm_calls_make_no_allocations() {
    let batches = batches();
    for &precision in Precision::ALL {
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
            batches.iter().cycle().take(1000).for_each(&mut call);
            assert_eq!(allocations() - warm, 0, "{precision}, {threads} threads");
        }
    }
}
