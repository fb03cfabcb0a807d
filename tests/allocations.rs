//! A warm call allocates nothing. One test alone, since the counter counts every thread.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use distilbert::{Classifier, Precision, TokenBatch};
use support::{Dice, bundled_model};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Batches of one to four rows of mixed lengths.
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
fn a_thousand_warm_calls_of_mixed_lengths_allocate_nothing() {
    let batches = batches();
    for precision in Precision::ALL {
        for threads in [1, 2] {
            let classifier = Classifier::builder(bundled_model())
                .precision(precision)
                .threads(threads)
                .build()
                .unwrap();
            let mut logits = Vec::new();
            let mut call = |batch| classifier.logits_into(batch, &mut logits).unwrap();
            let cold = ALLOCATIONS.load(Ordering::Relaxed);
            batches.iter().for_each(&mut call);
            let warm = ALLOCATIONS.load(Ordering::Relaxed);
            assert!(warm > cold, "the counter counts");
            batches.iter().cycle().take(1000).for_each(&mut call);
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - warm;
            assert_eq!(allocations, 0, "{precision}, {threads} threads");
        }
    }
}
