//! The machine's smaller parts.

use half::f16;

use crate::Counts;
use crate::convert::round_to_odd;
use crate::decode::operands::constant;
use crate::exchange::shuffle_source;
use crate::instruction::ShuffleMode;
use crate::text::{Content, Piece, pieces, split_at_commas};
use crate::types::{Kind, Type};

#[test]
fn splits_a_text() {
    let text = ".version 8.0\n.file 1 \"a//b.cu\" // a comment; here\n.visible .entry f(\n .param \
                .u64 p\n)\n{\n/* two\nlines */ $L1:\n@%p mov.b64 {%a,\n%b}, %c;\n{ ret; }\n}\n\
                .section .debug { {.b8 1\n} }";
    let found = pieces(text).unwrap();
    let expected = [
        (1, Content::Line(".version 8.0".into())),
        (2, Content::Line(".file 1 \"a//b.cu\"".into())),
        (3, Content::Header(".visible .entry f( .param .u64 p )".into())),
        (6, Content::Open),
        (8, Content::Label("$L1".into())),
        (9, Content::Statement("@%p mov.b64 {%a, %b}, %c".into())),
        (11, Content::Open),
        (11, Content::Statement("ret".into())),
        (11, Content::Close),
        (12, Content::Close),
    ];
    assert_eq!(found, expected.map(|(line, content)| Piece { line, content }));
    for unfinished in ["ret", "{", "}", "{ mov }", ".section .debug {"] {
        assert!(pieces(unfinished).is_err(), "{unfinished}");
    }
    assert_eq!(split_at_commas("a, {b, c}, [d+4]"), ["a", "{b, c}", "[d+4]"]);
    assert!(split_at_commas("").is_empty());
}

#[test]
fn parses_constants() {
    for (text, expected) in [
        ("0", Some(0)),
        ("-1", Some(u64::MAX)),
        ("0x1FU", Some(31)),
        ("017", Some(15)),
        ("0b101", Some(5)),
        ("0f3F800000", Some(0x3f80_0000)),
        ("WARP_SZ", Some(32)),
        ("0f3F8", None),
        ("0d3FF0000000000000", None),
        ("x", None),
        ("", None),
        ("-", None),
    ] {
        assert_eq!(constant(text), expected, "{text}");
    }
}

#[test]
fn types_have_names_and_numbers() {
    assert_eq!(Type::parse("s16"), Some(Type { kind: Kind::Signed, bits: 16 }));
    assert_eq!(Type::parse("pred"), Some(Type::PREDICATE));
    for unknown in ["", "u", "u128", "f64", "bf16", "e4m3", "row"] {
        assert_eq!(Type::parse(unknown), None, "{unknown}");
    }
    let number = |name: &str, value| Type::parse(name).unwrap().number(value);
    assert_eq!(number("s8", 0x1ff), -1);
    assert_eq!(number("u8", 0x1ff), 255);
    assert_eq!(number("s64", u64::MAX), -1);
    assert_eq!(number("u64", u64::MAX), i128::from(u64::MAX));
    assert_eq!(Type::parse("s16").unwrap().range(), (-32768, 32767));
}

#[test]
fn rounding_to_odd_avoids_false_ties() {
    assert_eq!(round_to_odd(1.5), 1.5);
    // Just above the midpoint of two `f16`: the nearest `f32` is the midpoint itself.
    let middle = 1.0 + 2f64.powi(-11);
    let above = middle + 2f64.powi(-40);
    assert_eq!(above as f32, middle as f32);
    assert_eq!(f16::from_f32(round_to_odd(above)), f16::from_f64(1.0 + 2f64.powi(-10)));
    assert_eq!(f16::from_f32(round_to_odd(middle)), f16::ONE);
    assert_eq!(round_to_odd(f64::INFINITY), f32::INFINITY);
}

#[test]
fn shuffles_stay_in_their_segment() {
    use ShuffleMode::*;
    // All 32 lanes, as in `__shfl_*_sync`, and segments of 8.
    for (mode, lane, other, clamp, expected) in [
        (Butterfly, 5, 16, 0x1f, (21, true)),
        (Down, 5, 16, 0x1f, (21, true)),
        (Down, 20, 16, 0x1f, (20, false)),
        (Up, 20, 16, 0, (4, true)),
        (Up, 5, 16, 0, (5, false)),
        (Index, 5, 30, 0x1f, (30, true)),
        (Down, 6, 1, 0x181f, (7, true)),
        (Down, 7, 1, 0x181f, (7, false)),
        (Up, 8, 1, 0x1800, (8, false)),
        (Index, 9, 3, 0x181f, (11, true)),
        (Butterfly, 9, 8, 0x181f, (1, true)),
        (Butterfly, 1, 8, 0x181f, (1, false)),
    ] {
        assert_eq!(shuffle_source(mode, lane, other, clamp), expected, "{mode:?} {lane} {other}");
    }
}

#[test]
fn counts_bank_conflicts() {
    let passes = |bytes: usize, address: &dyn Fn(usize) -> usize| {
        let mut counts = Counts::default();
        counts.shared_access(&(0..32).map(address).collect::<Vec<_>>(), bytes);
        (counts.shared_accesses, counts.shared_conflict_passes)
    };
    assert_eq!(passes(4, &|lane| 4 * lane), (1, 0));
    assert_eq!(passes(4, &|_| 64), (1, 0), "a word is broadcast to all lanes");
    assert_eq!(passes(2, &|lane| 2 * lane), (1, 0), "two lanes share a word");
    assert_eq!(passes(4, &|lane| 8 * lane), (1, 1));
    assert_eq!(passes(4, &|lane| 128 * lane), (1, 31));
    assert_eq!(passes(8, &|lane| 8 * lane), (2, 0));
    assert_eq!(passes(16, &|lane| 16 * lane), (4, 0));
    assert_eq!(passes(16, &|lane| 128 * lane), (4, 28), "rows of 64 f16 values, not padded");
    assert_eq!(passes(16, &|lane| 144 * lane), (4, 0), "rows of 64 f16 values, padded by 8");
}
