//! A row's logits are bit-identical alone, in any batch and order, padded or packed, and on any number of threads.

use std::path::Path;

use distilbert::{Classifier, ClassifierBuilder, InstructionSet, Precision, TokenBatch};
use tempfile::TempDir;
use test_support::generator::GeneratedModel;
use test_support::{Dice, bundled_model, expected_set, precisions, sets, token_goldens};

fn builder(model: &Path, set: InstructionSet, precision: Precision) -> ClassifierBuilder {
    Classifier::builder(model).instruction_set(set).precision(precision)
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}

/// Returns the rows as a rectangle, padded on the right.
fn padded(rows: &[&Vec<u32>]) -> TokenBatch {
    let len = rows.iter().map(|row| row.len()).max().unwrap();
    let pad = |row: &[u32], with: u32| [row, &vec![with; len - row.len()]].concat();
    let ids: Vec<u32> = rows.iter().flat_map(|row| pad(row, 0)).collect();
    let mask: Vec<u32> = rows.iter().flat_map(|row| pad(&vec![1; row.len()], 0)).collect();
    TokenBatch::from_padded(&ids, &mask, len).unwrap()
}

/// Compares every row in shuffled batches of 2 to 64, on 1, 2 and 4 threads, with the row alone.
fn check(model: &Path, rows: &[Vec<u32>], precision: Precision) {
    for set in sets().into_iter().filter(|set| set.supports(precision)) {
        let alone = builder(model, set, precision).threads(1).build().unwrap();
        let labels = alone.labels().len();
        let expected: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| bits(&alone.logits(&TokenBatch::from_rows(&[row]).unwrap()).unwrap()))
            .collect();
        for threads in [1, 2, 4] {
            let classifier = builder(model, set, precision).threads(threads).build().unwrap();
            let mut dice = Dice(threads as u64);
            let mut order: Vec<usize> = (0..rows.len()).collect();
            dice.shuffle(&mut order);
            let mut rest = order.as_slice();
            while !rest.is_empty() {
                let (batch, after) = rest.split_at((2 + dice.below(63)).min(rest.len()));
                rest = after;
                let batch_rows: Vec<&Vec<u32>> = batch.iter().map(|&row| &rows[row]).collect();
                let packed = TokenBatch::from_rows(&batch_rows).unwrap();
                for tokens in [packed, padded(&batch_rows)] {
                    let logits = classifier.logits(&tokens).unwrap();
                    for (&row, logits) in batch.iter().zip(logits.chunks(labels)) {
                        assert_eq!(
                            bits(logits),
                            expected[row],
                            "row {row} on {set}, {threads} threads"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn texts_are_bit_identical_in_any_batch_and_on_any_threads() {
    let rows: Vec<Vec<u32>> = token_goldens()
        .into_iter()
        .map(|(_, ids)| ids)
        .filter(|ids| ids.len() <= 512)
        .step_by(5)
        .collect();
    assert!(rows.len() >= 500, "only {} texts", rows.len());
    check(&bundled_model(), &rows, Precision::F32);
    check(&bundled_model(), &rows, Precision::Int8);
}

#[test]
fn odd_sizes_are_bit_identical_in_any_batch_and_on_any_threads() {
    let mut model = GeneratedModel::small().config;
    for (field, value) in [("dim", 36), ("n_heads", 3), ("hidden_dim", 53)] {
        model[field] = value.into();
    }
    let mut dice = Dice(3);
    let count = if expected_set().is_some() { 12 } else { 150 };
    let rows: Vec<Vec<u32>> = (0..count)
        .map(|_| (0..=dice.below(40)).map(|_| dice.below(120) as u32).collect())
        .collect();
    for model in [GeneratedModel::new(model, 11), GeneratedModel::pruned()] {
        let folder = TempDir::new().unwrap();
        model.write(folder.path());
        for precision in precisions() {
            check(folder.path(), &rows, precision);
        }
    }
}

/// Only the portable implementation doesn't fuse multiplications and additions.
#[test]
fn instruction_sets_except_portable_are_bit_identical() {
    let rows: Vec<Vec<u32>> = token_goldens()
        .into_iter()
        .map(|(_, ids)| ids)
        .filter(|ids| ids.len() <= 512)
        .step_by(20)
        .collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    let sets = sets();
    for precision in precisions() {
        // The instructions for bf16 add in different orders.
        if precision == Precision::Bf16 {
            continue;
        }
        let mut first = None;
        for &set in sets.iter().filter(|&&set| set != InstructionSet::Portable) {
            let classifier = builder(&bundled_model(), set, precision).build().unwrap();
            let found = bits(&classifier.logits(&batch).unwrap());
            assert!(first.get_or_insert(found.clone()) == &found, "{precision} on {set}");
        }
    }
}

#[test]
fn supports_concurrent_callers() {
    let classifier = &Classifier::builder(bundled_model()).threads(2).build().unwrap();
    let goldens = token_goldens();
    let rows: Vec<&[u32]> = goldens
        .iter()
        .map(|(_, ids)| ids.as_slice())
        .filter(|ids| ids.len() < 60)
        .take(40)
        .collect();
    let logits = |row| bits(&classifier.logits(&TokenBatch::from_rows(&[row]).unwrap()).unwrap());
    let expected: Vec<Vec<u32>> = rows.iter().map(|row| logits(*row)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (row, expected) in rows.iter().zip(&expected) {
                    assert_eq!(&logits(*row), expected);
                }
            });
        }
    });
}
