//! Tensor cores against naive products: rows are stored, loaded with `ldmatrix`, and multiplied.

use half::f16;

use super::{fault, kernel, run};
use crate::Fault;

/// Returns distinct values, small enough for exact sums.
fn value(index: usize) -> i32 {
    (index * 7919 % 23) as i32 - 11
}

/// Multiplies `a`, 16 rows of 32 bytes, by `b`, 8 columns of 32 bytes, and adds `c`.
fn multiply(mma: &str, a: &[u8], b: &[u8], c: &[u32]) -> Vec<u32> {
    let body = format!(
        "mov.u32 %r0, %laneid;\n\
         // 16 bytes of the 768 of both matrices for each lane, and again for half of the lanes.\n\
         shl.b32 %r1, %r0, 4; cvt.u64.u32 %a0, %r1; add.s64 %a1, %buffer, %a0;\n\
         cp.async.cg.shared.global [%r1], [%a1], 16; setp.lt.u32 %p0, %r0, 16;\n\
         @%p0 cp.async.cg.shared.global [%r1+512], [%a1+512], 16;\n\
         cp.async.wait_all; bar.warp.sync -1;\n\
         // Rows of `a` in lanes 0 to 15, their second halves in the others.\n\
         and.b32 %r2, %r0, 15; shl.b32 %r2, %r2, 5; shr.u32 %r3, %r0, 4; shl.b32 %r3, %r3, 4;\n\
         add.s32 %r2, %r2, %r3;\n\
         ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r4, %r5, %r6, %r7}}, [%r2];\n\
         // Columns of `b` in lanes 0 to 7, their second halves in the next.\n\
         and.b32 %r2, %r0, 7; shl.b32 %r2, %r2, 5; and.b32 %r3, %r0, 8; shl.b32 %r3, %r3, 1;\n\
         add.s32 %r2, %r2, %r3;\n\
         ldmatrix.sync.aligned.m8n8.x2.shared.b16 {{%r8, %r9}}, [%r2+512];\n\
         // Two columns of `c` in row lane / 4, and in the row eight further on.\n\
         shr.u32 %r2, %r0, 2; and.b32 %r3, %r0, 3; shl.b32 %r2, %r2, 5; shl.b32 %r3, %r3, 3;\n\
         add.s32 %r2, %r2, %r3; cvt.u64.u32 %a0, %r2; add.s64 %a1, %buffer, %a0;\n\
         ld.global.v2.b32 {{%r10, %r11}}, [%a1+768]; ld.global.v2.b32 {{%r12, %r13}}, [%a1+1024];\n\
         {mma} {{%r10, %r11, %r12, %r13}}, {{%r4, %r5, %r6, %r7}}, {{%r8, %r9}}, \
         {{%r10, %r11, %r12, %r13}};\n\
         st.global.v2.b32 [%a1+768], {{%r10, %r11}}; st.global.v2.b32 [%a1+1024], {{%r12, %r13}};"
    );
    let c = c.iter().flat_map(|value| value.to_le_bytes());
    let mut bytes: Vec<u8> = a.iter().chain(b).copied().chain(c).collect();
    assert_eq!(bytes.len(), 768 + 512);
    let counts = run(&kernel("", &body), 32, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(counts.mma, 1);
    let words = bytes[768..].chunks(4);
    words.map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

#[test]
fn f16_products_match_naive_sums() {
    let a: Vec<_> = (0..16 * 16).map(value).collect();
    let b: Vec<_> = (0..8 * 16).map(|index| value(index + 5)).collect();
    let c: Vec<_> = (0..16 * 8).map(|index| value(index + 3)).collect();
    let halves = |values: &[i32]| -> Vec<u8> {
        values.iter().flat_map(|&value| f16::from_f32(value as f32).to_le_bytes()).collect()
    };
    let floats: Vec<_> = c.iter().map(|&value| (value as f32).to_bits()).collect();
    let mma = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32";
    let found = multiply(mma, &halves(&a), &halves(&b), &floats);
    for (index, found) in found.into_iter().enumerate() {
        let (row, column) = (index / 8, index % 8);
        let products = (0..16).map(|k| a[row * 16 + k] * b[column * 16 + k]);
        assert_eq!(f32::from_bits(found), (c[index] + products.sum::<i32>()) as f32);
    }
}

#[test]
fn int8_products_match_naive_sums() {
    let a: Vec<u8> = (0..16 * 32).map(|index| (index * 37 + 5) as u8).collect();
    let b: Vec<u8> = (0..8 * 32).map(|index| (index * 91 + 130) as u8).collect();
    let c: Vec<u32> = (0..16 * 8).map(|index| value(index) as u32).collect();
    let signed = |byte: u8| i32::from(byte as i8);
    let unsigned = i32::from;
    type Widen = fn(u8) -> i32;
    let types: [(&str, Widen, &str, Widen); 4] = [
        ("s8", signed, "s8", signed),
        ("u8", unsigned, "s8", signed),
        ("s8", signed, "u8", unsigned),
        ("u8", unsigned, "u8", unsigned),
    ];
    for (a_type, widen_a, b_type, widen_b) in types {
        let mma = format!("mma.sync.aligned.m16n8k32.row.col.s32.{a_type}.{b_type}.s32");
        let found = multiply(&mma, &a, &b, &c);
        for (index, found) in found.into_iter().enumerate() {
            let (row, column) = (index / 8, index % 8);
            let products = (0..32).map(|k| widen_a(a[row * 32 + k]) * widen_b(b[column * 32 + k]));
            assert_eq!(found, c[index].wrapping_add(products.sum::<i32>() as u32), "{mma} {index}");
        }
    }
}

/// Loads the 8 × 8 matrix whose elements are their own indices, and returns the elements of each lane.
fn load(modifiers: &str) -> Vec<(u16, u16)> {
    let body = format!(
        "mov.u32 %r0, %laneid; shl.b32 %r1, %r0, 2; cvt.u64.u32 %a0, %r1; add.s64 %a1, %buffer, %a0;\n\
         ld.global.u32 %r2, [%a1]; st.shared.u32 [%r1], %r2; bar.warp.sync -1;\n\
         and.b32 %r3, %r0, 7; shl.b32 %r3, %r3, 4;\n\
         ldmatrix.sync.aligned.m8n8.x1{modifiers}.shared::cta.b16 {{%r4}}, [%r3];\n\
         st.global.u32 [%a1], %r4;"
    );
    let mut bytes: Vec<u8> = (0..64u16).flat_map(u16::to_le_bytes).collect();
    run(&kernel("", &body), 32, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
    let half = |bytes: &[u8]| u16::from_le_bytes(bytes.try_into().unwrap());
    bytes.chunks(4).map(|word| (half(&word[..2]), half(&word[2..]))).collect()
}

#[test]
fn loads_matrices_with_and_without_transposition() {
    let found = load("");
    assert!(found.iter().zip(0..).all(|(&found, lane)| found == (2 * lane, 2 * lane + 1)));
    let found = load(".trans");
    let expected = |lane: u16| {
        let (row, column) = (lane % 4 * 2, lane / 4);
        (row * 8 + column, (row + 1) * 8 + column)
    };
    assert!(found.iter().zip(0..).all(|(&found, lane)| found == expected(lane)));
}

#[test]
fn matrix_instructions_require_the_whole_warp() {
    let half = "mov.u32 %r0, %laneid; setp.lt.u32 %p0, %r0, 16; @%p0";
    for instruction in [
        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r4}, [%r3];",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r1, %r2, %r3, %r4}, \
         {%r1, %r2, %r3, %r4}, {%r1, %r2}, {%r1, %r2, %r3, %r4};",
    ] {
        let found = fault(32, &format!("{half} {instruction}"));
        assert_eq!(found, Some(Fault::PartialWarp { active: 0xffff }));
    }
}
