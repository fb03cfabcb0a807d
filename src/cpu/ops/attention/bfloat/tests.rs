//! Attention in bf16 against a naive float64 loop over rounded operands.

use super::*;
use crate::cpu::ops::attention::Queries;
use crate::cpu::ops::attention::tests::Case;
use crate::cpu::simd::bfloat::{narrow, widen};
use crate::cpu::simd::on_every_isa;
use crate::testing::{assert_all_close, sizes};

/// Largest error of a context: values are at most two, and exponentials are rounded to eight bits.
const TOLERANCE: f64 = 4e-3;

#[test]
fn ragged_batches_of_every_head_size_match_float64() {
    let heads = [(1, 1), (2, 3), (4, 5), (3, 16), (2, 17), (1, 24), (2, 32), (2, 64)];
    let batches = [vec![1], vec![7, 1, 16], vec![33, 2, 17, 49], vec![130], vec![401]];
    for (heads, head_size) in sizes(heads, [(2, 3), (1, 16), (1, 17), (1, 32)]) {
        for lengths in sizes(batches.clone(), [vec![7, 1, 16], vec![33, 2]]) {
            for queries in [Queries::AllTokens, Queries::FirstTokens] {
                let case = Case { heads, head_size, lengths: lengths.clone(), queries };
                let input: Vec<f32> =
                    case.input().into_iter().map(|value| widen(narrow(value))).collect();
                let expected = case.expected(&input);
                on_every_isa(|_, isa| {
                    let found = case.attend::<Bf16Attention>(isa, &input);
                    assert_all_close(&found, &expected, TOLERANCE);
                });
            }
        }
    }
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_in_a_batch() {
    let lengths = vec![37, 5, 50];
    let case = Case { heads: 2, head_size: 16, lengths, queries: Queries::AllTokens };
    let (input, dim) = (case.input(), case.dim());
    let alone = Case { lengths: vec![5], ..case.clone() };
    let part = &input[37 * 3 * dim..42 * 3 * dim];
    on_every_isa(|set, isa| {
        let all = case.attend::<Bf16Attention>(isa, &input);
        let one = alone.attend::<Bf16Attention>(isa, part);
        assert_eq!(&all[37 * dim..42 * dim], &one[..], "{set}");
    });
}
