//! Token batches with arbitrary ids and masks, on every instruction set.

use std::sync::LazyLock;

use distilbert::{Classifier, InstructionSet, Precision, TokenBatch};
use test_support::PORTABLE_TOLERANCE;
use test_support::generator::GeneratedModel;

use crate::bytes::Bytes;

/// Largest difference of a logit between instruction sets that compute with the same floats; each is within 2e-5 of the
/// exact value.
const TOLERANCE: f64 = 4e-5;

/// Classifiers of one precision.
struct Group {
    precision: Precision,
    portable: Classifier,
    /// Those of the best instruction set, on one thread and on two.
    best: [Classifier; 2],
}

static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    let odd = [("dim", 36), ("n_heads", 3), ("hidden_dim", 53)];
    let mut config = GeneratedModel::small().config;
    odd.iter().for_each(|&(field, size)| config[field] = size.into());
    let mut groups = Vec::new();
    for model in [GeneratedModel::small(), GeneratedModel::new(config, 11)] {
        model.write(folder.path());
        for precision in [Precision::F32, Precision::F16, Precision::Int8] {
            let build = |set, threads| {
                let builder = Classifier::builder(folder.path()).precision(precision);
                builder.instruction_set(set).threads(threads).build().unwrap()
            };
            let best = InstructionSet::choose(None).unwrap();
            groups.push(Group {
                precision,
                portable: build(InstructionSet::Portable, 1),
                best: [build(best, 1), build(best, 2)],
            });
        }
    }
    groups
});

/// Computes a batch with several classifiers, which must agree: in every bit on any number of threads and for any other
/// rows, and within the promised errors on the portable instruction set.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let group = &GROUPS[bytes.below(GROUPS.len())];
    let Some(batch) = batch(&mut bytes) else { return };
    let [one, two] = &group.best;
    let found = match one.logits(&batch) {
        Ok(logits) => logits,
        Err(error) => {
            let others = [two, &group.portable].map(|other| other.logits(&batch).unwrap_err());
            others.iter().for_each(|other| assert_eq!(other.to_string(), error.to_string()));
            return;
        }
    };
    let labels = one.labels().len();
    assert_eq!(found.len(), batch.rows() * labels);
    assert!(found.iter().all(|logit| logit.is_finite()));
    assert_eq!(bits(&found), bits(&two.logits(&batch).unwrap()), "two threads");
    for row in 0..batch.rows() {
        let alone = one.logits(&row_of(&batch, row)).unwrap();
        assert_eq!(bits(&alone), bits(&found[row * labels..(row + 1) * labels]), "row {row} alone");
    }
    let tolerance = match group.precision {
        Precision::Int8 => PORTABLE_TOLERANCE,
        _ => TOLERANCE,
    };
    for (found, portable) in found.iter().zip(group.portable.logits(&batch).unwrap()) {
        let difference = f64::from((found - portable).abs());
        assert!(difference <= tolerance, "{found} and {portable} in {}", group.precision);
    }
}

/// Reads a batch: padded with a mask, or rows.
fn batch(bytes: &mut Bytes<'_>) -> Option<TokenBatch> {
    let choice = bytes.byte();
    let id = |byte: u8| match byte {
        255 => u32::MAX,
        byte => u32::from(byte) % 124,
    };
    if choice & 1 == 0 {
        let len = bytes.below(44);
        let rest = bytes.rest();
        let (ids, mask) = rest.split_at(rest.len() / 2);
        let ids: Vec<u32> = ids.iter().map(|&byte| id(byte)).collect();
        // Rarely something other than 0 and 1.
        let mask: Vec<i64> = mask
            .iter()
            .map(|&byte| if byte > 253 { i64::from(byte) - 255 } else { i64::from(byte & 1) })
            .collect();
        TokenBatch::from_padded(&ids, &mask, len).ok()
    } else {
        let mut rows = Vec::new();
        while !bytes.is_empty() {
            let len = bytes.below(44);
            rows.push(bytes.slice(len).iter().map(|&byte| id(byte)).collect::<Vec<_>>());
        }
        TokenBatch::from_rows(&rows).ok()
    }
}

/// Returns one row as a batch, with its positions.
fn row_of(batch: &TokenBatch, row: usize) -> TokenBatch {
    let tokens = batch.cu_seqlens()[row]..batch.cu_seqlens()[row + 1];
    let positions = &batch.positions()[tokens.clone()];
    let len = positions[positions.len() - 1] as usize + 1;
    let (mut ids, mut mask) = (vec![0; len], vec![0; len]);
    for (&position, &id) in positions.iter().zip(&batch.input_ids()[tokens]) {
        (ids[position as usize], mask[position as usize]) = (id, 1);
    }
    TokenBatch::from_padded(&ids, &mask, len).unwrap()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}
