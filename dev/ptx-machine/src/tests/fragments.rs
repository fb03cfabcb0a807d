//! Layout of matrix fragments.

use std::collections::BTreeSet;

use crate::instruction::LANES;
use crate::tensor::{Place, a_of_f16, a_of_int8, b_of_f16, b_of_int8, c_of_both, loaded};

/// Rows and columns from the PTX ISA, at lanes and elements that distinguish the registers.
#[test]
fn fragment_layout_matches_documentation() {
    assert_eq!(
        [0, 1, 2, 3].map(|register| a_of_f16(6, register, 1)),
        [(1, 5), (9, 5), (1, 13), (9, 13)]
    );
    assert_eq!([0, 1].map(|register| b_of_f16(6, register, 1)), [(5, 1), (13, 1)]);
    assert_eq!(
        [0, 1, 2, 3].map(|register| a_of_int8(6, register, 3)),
        [(1, 11), (9, 11), (1, 27), (9, 27)]
    );
    assert_eq!([0, 1].map(|register| b_of_int8(6, register, 3)), [(11, 1), (27, 1)]);
    assert_eq!(
        [0, 1, 2, 3].map(|register| c_of_both(6, register)),
        [(1, 4), (1, 5), (9, 4), (9, 5)]
    );
    assert_eq!((loaded(6, 1, false), loaded(6, 1, true)), ((1, 5), (5, 1)));
}

/// Every element has exactly one position.
#[test]
fn fragments_cover_their_matrices() {
    let check =
        |(rows, columns), (registers, parts), place: &dyn Fn(usize, usize, usize) -> Place| {
            let mut places = BTreeSet::new();
            for lane in 0..LANES {
                for register in 0..registers {
                    places.extend((0..parts).map(|part| place(lane, register, part)));
                }
            }
            let all = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
            assert_eq!(places, all.collect());
            assert_eq!(rows * columns, LANES * registers * parts);
        };
    check((16, 16), (4, 2), &a_of_f16);
    check((16, 8), (2, 2), &b_of_f16);
    check((16, 32), (4, 4), &a_of_int8);
    check((32, 8), (2, 4), &b_of_int8);
    check((16, 8), (4, 1), &|lane, register, _| c_of_both(lane, register));
    for is_transposed in [false, true] {
        check((8, 8), (1, 2), &|lane, _, part| loaded(lane, part, is_transposed));
    }
}
