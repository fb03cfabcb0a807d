//! Scalar instructions against plain Rust.

use half::f16;

use super::run_lanes;
use crate::{Error, Fault};

/// Runs one instruction on these operands and returns the result.
fn compute(instruction: &str, operands: &[u64]) -> u64 {
    let mut values = [0; 4];
    values[..operands.len()].copy_from_slice(operands);
    let names = ["%a0", "%a1", "%a2", "%a3"][..operands.len()].join(", ");
    run_lanes(&format!("{instruction} %a4, {names};"), &[values])
        .unwrap_or_else(|error| panic!("{instruction}: {error}"))[0]
}

/// Compares an instruction with a function on all pairs of some values.
fn compare(instruction: &str, values: &[u64], expected: impl Fn(u64, u64) -> u64) {
    let pairs: Vec<_> =
        values.iter().flat_map(|&a| values.iter().map(move |&b| [a, b, 0, 0])).collect();
    for pairs in pairs.chunks(32) {
        let found = run_lanes(&format!("{instruction} %a4, %a0, %a1;"), pairs)
            .unwrap_or_else(|error| panic!("{instruction}: {error}"));
        for (&[a, b, ..], found) in pairs.iter().zip(found) {
            assert_eq!(found, expected(a, b), "{instruction} {a:#x} {b:#x}");
        }
    }
}

const INTEGERS: [u64; 9] =
    [1, 2, 31, 0x7f, 0x8000, 0x1234_5678, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

#[test]
fn integer_arithmetic() {
    fn signed(function: impl Fn(i32, i32) -> i32) -> impl Fn(u64, u64) -> u64 {
        move |a, b| u64::from(function(a as i32, b as i32) as u32)
    }
    fn unsigned(function: impl Fn(u32, u32) -> u32) -> impl Fn(u64, u64) -> u64 {
        move |a, b| u64::from(function(a as u32, b as u32))
    }
    compare("add.s32", &INTEGERS, signed(i32::wrapping_add));
    compare("sub.u32", &INTEGERS, unsigned(u32::wrapping_sub));
    compare("mul.lo.s32", &INTEGERS, signed(i32::wrapping_mul));
    let high = |a: i32, b: i32| ((i64::from(a) * i64::from(b)) >> 32) as i32;
    compare("mul.hi.s32", &INTEGERS, signed(high));
    let high = |a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32;
    compare("mul.hi.u32", &INTEGERS, unsigned(high));
    compare("mul.wide.u32", &INTEGERS, |a, b| a * b);
    compare("mul.wide.s32", &INTEGERS, |a, b| (i64::from(a as i32) * i64::from(b as i32)) as u64);
    compare("mul.wide.u16", &INTEGERS, |a, b| u64::from(a as u16) * u64::from(b as u16));
    compare("div.s32", &INTEGERS, signed(i32::wrapping_div));
    compare("div.u32", &INTEGERS, unsigned(|a, b| a / b));
    compare("rem.s32", &INTEGERS, signed(i32::wrapping_rem));
    compare("rem.u32", &INTEGERS, unsigned(|a, b| a % b));
    compare("min.s32", &INTEGERS, signed(i32::min));
    compare("max.u32", &INTEGERS, unsigned(u32::max));
    compare("and.b32", &INTEGERS, |a, b| a & b);
    compare("or.b64", &INTEGERS, |a, b| a | b);
    compare("xor.b32", &INTEGERS, |a, b| a ^ b);
    let shift = |count: u64| count.min(63) as u32;
    compare("shl.b32", &INTEGERS, |a, b| u64::from((a << shift(b)) as u32));
    compare("shr.u32", &INTEGERS, |a, b| a >> shift(b));
    compare("shr.s32", &INTEGERS, |a, b| u64::from((i64::from(a as i32) >> shift(b)) as u32));
    for (instruction, operands, expected) in [
        ("add.s64", &[u64::MAX, 2][..], 1),
        ("add.s16", &[0x7fff, 1], 0x8000),
        ("mul.hi.u64", &[u64::MAX, u64::MAX], u64::MAX - 1),
        ("mul.hi.s64", &[u64::MAX, 1], u64::MAX),
        ("mad.lo.s32", &[3, 5, u64::from(u32::MAX)], 14),
        ("mad.hi.u32", &[1 << 31, 4, 7], 9),
        ("mad.wide.s32", &[u64::from(u32::MAX), 2, 1 << 40], (1 << 40) - 2),
        ("neg.s32", &[1], 0xffff_ffff),
        ("abs.s32", &[0xffff_fffe], 2),
        ("abs.s32", &[0x8000_0000], 0x8000_0000),
        ("not.b32", &[0xff], 0xffff_ff00),
        ("not.pred", &[1], 0),
        ("popc.b32", &[0xf0f0], 8),
        ("popc.b64", &[u64::MAX], 64),
        ("clz.b32", &[1], 31),
        ("clz.b32", &[0], 32),
        ("clz.b64", &[0x10], 59),
    ] {
        assert_eq!(compute(instruction, operands), expected, "{instruction} {operands:x?}");
    }
}

#[test]
fn moves_bits() {
    for (instruction, operands, expected) in [
        ("shf.l.wrap.b32", &[0x8000_0000, 1, 1][..], 3),
        ("shf.l.wrap.b32", &[5, 7, 32], 7),
        ("shf.l.clamp.b32", &[5, 7, 32], 5),
        ("shf.l.clamp.b32", &[5, 7, 40], 5),
        ("shf.r.wrap.b32", &[1, 1, 1], 0x8000_0000),
        ("shf.r.wrap.b32", &[5, 7, 33], 0x8000_0002),
        ("shf.r.clamp.b32", &[5, 7, 33], 7),
        ("bfe.u32", &[0xabcd, 4, 8], 0xbc),
        ("bfe.s32", &[0xabcd, 4, 8], 0xffff_ffbc),
        ("bfe.s32", &[0x8000_0000, 28, 8], 0xffff_fff8),
        ("bfe.u32", &[0x8000_0000, 28, 8], 8),
        ("bfe.s32", &[0x8000_0000, 40, 8], 0xffff_ffff),
        ("bfe.s32", &[0x8000_0000, 31, 0], 0),
        ("bfi.b32", &[0xff, 0, 4, 4], 0xf0),
        ("bfi.b32", &[0xff, 0x1234_5678, 28, 8], 0xf234_5678),
        ("bfi.b32", &[0xff, 7, 32, 8], 7),
        ("prmt.b32", &[0x3322_1100, 0x7766_5544, 0x5410], 0x5544_1100),
        ("prmt.b32", &[0x8070_6050, 0, 0xbabc], 0xff00_ff00),
        ("dp4a.s32.s32", &[0x01ff_0203, 0x0101_0402, 10], 1 + 0xffff_ffff + 8 + 6 + 10 - (1 << 32)),
        ("dp4a.u32.s32", &[0xff, 0xff, 0], 0xffff_ff01),
        ("dp4a.u32.u32", &[0xffff_ffff, 0xffff_ffff, 1], 4 * 255 * 255 + 1),
        ("selp.b32", &[5, 7, 1], 5),
        ("selp.f32", &[5, 7, 0], 7),
        ("mov.b16", &[0x1_2345], 0x2345),
        ("cvta.to.global.u64", &[1 << 40], 1 << 40),
    ] {
        assert_eq!(compute(instruction, operands), expected, "{instruction} {operands:x?}");
    }
    let packed = "mov.b32 {%r1, %r2}, %a0; mov.b32 %a4, {%r2, %r1};";
    assert_eq!(run_lanes(packed, &[[0x1234_5678, 0, 0, 0]]), Ok(vec![0x5678_1234]));
    let packed = "mov.b64 {%r1, _}, %a0; mov.b64 %a4, {3, %r1};";
    assert_eq!(run_lanes(packed, &[[0x9_0000_0007, 0, 0, 0]]), Ok(vec![0x7_0000_0003]));
}

fn bits(value: f32) -> u64 {
    u64::from(value.to_bits())
}

#[test]
fn float_arithmetic() {
    let floats: Vec<_> = [0.0, -0.0, 1.5, -3.25, 1e-40, 1e-20, 3e38, f32::INFINITY, 0.1]
        .into_iter()
        .map(bits)
        .collect();
    fn float(function: impl Fn(f32, f32) -> f32) -> impl Fn(u64, u64) -> u64 {
        move |a, b| {
            let result = function(f32::from_bits(a as u32), f32::from_bits(b as u32));
            // The NaN that an operation returns depends on the machine that runs the test.
            if result.is_nan() { NAN } else { bits(result) }
        }
    }
    const NAN: u64 = 1 << 63;
    let finite = &floats[2..7];
    compare("add.f32", finite, float(|a, b| a + b));
    compare("sub.rn.f32", finite, float(|a, b| a - b));
    compare("mul.f32", finite, float(|a, b| a * b));
    compare("div.rn.f32", finite, float(|a, b| a / b));
    compare("div.full.f32", finite, float(|a, b| a / b));
    compare("min.f32", &floats, float(|a, b| if a.total_cmp(&b).is_le() { a } else { b }));
    compare("max.f32", &floats, float(|a, b| if a.total_cmp(&b).is_le() { b } else { a }));
    compare("copysign.f32", &floats, float(|a, b| b.copysign(a)));
    let flush = |value: f32| if value.is_subnormal() { 0.0 * value } else { value };
    compare("mul.ftz.f32", finite, float(|a, b| flush(flush(a) * flush(b))));
    compare("add.sat.f32", finite, float(|a, b| (a + b).clamp(0.0, 1.0) + 0.0));
    let nan = bits(f32::NAN);
    for (instruction, operands, expected) in [
        ("fma.rn.f32", &[0.1, 10.0, -1.0][..], 0.1f32.mul_add(10.0, -1.0)),
        ("neg.f32", &[0.0], -0.0),
        ("abs.ftz.f32", &[-1e-40], 0.0),
        ("rcp.rn.f32", &[3.0], 1.0 / 3.0),
        ("rcp.approx.ftz.f32", &[1e-40], f32::INFINITY),
        ("sqrt.rn.f32", &[2.0], 2f32.sqrt()),
        ("sqrt.approx.f32", &[2.0], 2f32.sqrt()),
        ("rsqrt.approx.f32", &[4.0], 0.5),
        ("ex2.approx.f32", &[-3.0], 0.125),
        ("ex2.approx.ftz.f32", &[-130.0], 0.0),
        ("ex2.approx.ftz.f32", &[f32::NEG_INFINITY], 0.0),
        ("lg2.approx.f32", &[0.125], -3.0),
        ("tanh.approx.f32", &[0.5], 0.5f64.tanh() as f32),
        ("min.f32", &[f32::NAN, 2.0], 2.0),
        ("max.f32", &[2.0, f32::NAN], 2.0),
    ] {
        let operands: Vec<_> = operands.iter().copied().map(bits).collect();
        assert_eq!(compute(instruction, &operands), bits(expected), "{instruction}");
    }
    let result = compute("max.NaN.f32", &[bits(2.0), nan]);
    assert!(f32::from_bits(result as u32).is_nan());
}

#[test]
fn half_arithmetic() {
    let half = |value: f64| u64::from(f16::from_f64(value).to_bits());
    for (instruction, operands, expected) in [
        ("add.f16", &[1.0, 2.5][..], 3.5),
        ("add.rn.f16", &[2048.0, 1.0], 2048.0),
        ("sub.f16", &[1.0, 2.5], -1.5),
        ("mul.f16", &[65504.0, 2.0], f64::INFINITY),
        ("min.f16", &[-1.0, 2.0], -1.0),
        ("max.f16", &[-1.0, 2.0], 2.0),
        ("neg.f16", &[1.0], -1.0),
        ("abs.f16", &[-1.0], 1.0),
        ("ex2.approx.f16", &[3.0], 8.0),
        // The exact sum exceeds the midpoint of two `f16` by far less than `f32` can represent.
        ("fma.rn.f16", &[683.0, 3.0, 2f64.powi(-24)], 2050.0),
    ] {
        let operands: Vec<_> = operands.iter().copied().map(half).collect();
        assert_eq!(compute(instruction, &operands), half(expected), "{instruction}");
    }
    let pair = |low: f64, high: f64| half(low) | half(high) << 16;
    let found = compute("fma.rn.f16x2", &[pair(1.0, 2.0), pair(3.0, 4.0), pair(0.5, -0.5)]);
    assert_eq!(found, pair(3.5, 7.5));
    assert_eq!(compute("add.f16x2", &[pair(1.0, 2.0), pair(3.0, 4.0)]), pair(4.0, 6.0));
}

#[test]
fn comparisons() {
    let (two, nan) = (bits(2.0), bits(f32::NAN));
    let minus_one = u64::from(u32::MAX);
    for (instruction, operands, expected) in [
        ("eq.s32", [1 << 32 | 5, 5], 1),
        ("ne.b32", [1, 2], 1),
        ("lt.s32", [minus_one, 0], 1),
        ("lt.u32", [minus_one, 0], 0),
        ("hi.u32", [minus_one, 0], 1),
        ("ls.u32", [3, 3], 1),
        ("ge.s64", [u64::MAX, 0], 0),
        ("gt.f32", [two, bits(-2.0)], 1),
        ("eq.f32", [nan, nan], 0),
        ("ne.f32", [nan, two], 0),
        ("neu.f32", [nan, two], 1),
        ("geu.f32", [two, nan], 1),
        ("num.f32", [two, two], 1),
        ("nan.f32", [two, nan], 1),
        ("eq.f32", [0, bits(-0.0)], 1),
        ("eq.ftz.f32", [0, bits(1e-40)], 1),
        ("eq.f32", [0, bits(1e-40)], 0),
        ("lt.f16", [0xbc00, 0x3c00], 1),
    ] {
        let result = compute(&format!("setp.{instruction}"), &operands);
        assert_eq!(result, expected, "{instruction} {operands:x?}");
    }
    for (logic, third, expected) in [
        ("and", "%a2", 1),
        ("and", "!%a2", 0),
        ("or", "!%a2", 1),
        ("xor", "%a2", 0),
        ("xor", "!%a2", 1),
    ] {
        let body = format!("setp.lt.{logic}.s32 %a4, %a0, %a1, {third};");
        assert_eq!(run_lanes(&body, &[[1, 2, 1, 0]]), Ok(vec![expected]), "{body}");
    }
}

#[test]
fn conversions() {
    let half = |value: f32| u64::from(f16::from_f32(value).to_bits());
    for (conversion, operand, expected) in [
        ("u32.u8", 0x1ff, 0xff),
        ("s32.s8", 0xff, 0xffff_ffff),
        ("u64.u32", 0xffff_ffff, 0xffff_ffff),
        ("s64.s32", 0xffff_ffff, u64::MAX),
        ("u16.u32", 0x12345, 0x2345),
        ("sat.s8.s32", 1000, 127),
        ("sat.s8.s32", 0xffff_fc18, 0x80),
        ("sat.u8.s32", 0xffff_ffff, 0),
        ("rn.f32.s32", 0xffff_ffff, bits(-1.0)),
        ("rn.f32.u32", 0xffff_ffff, bits(4294967296.0)),
        ("rn.f32.u64", (1 << 24) + 1, bits(16777216.0)),
        ("rn.f16.s32", 2049, half(2048.0)),
        ("rni.s32.f32", bits(2.5), 2),
        ("rni.s32.f32", bits(-3.5), 0xffff_fffc),
        ("rzi.s32.f32", bits(-3.5), 0xffff_fffd),
        ("rmi.s32.f32", bits(-3.5), 0xffff_fffc),
        ("rpi.s32.f32", bits(3.25), 4),
        ("rzi.u32.f32", bits(-3.5), 0),
        ("rni.s32.f32", bits(1e20), 0x7fff_ffff),
        ("rni.s32.f32", bits(f32::NAN), 0),
        ("rni.sat.s8.f32", bits(-200.0), 0x80),
        ("rzi.s32.f16", half(-7.75), 0xffff_fff9),
        ("rni.f32.f32", bits(2.5), bits(2.0)),
        ("rmi.f32.f32", bits(-0.5), bits(-1.0)),
        ("sat.f32.f32", bits(3.0), bits(1.0)),
        ("ftz.f32.f32", bits(1e-40), 0),
        ("f32.f16", half(0.1), bits(f16::from_f32(0.1).to_f32())),
        ("rn.f16.f32", bits(1.0 + 2f32.powi(-11)), half(1.0)),
        ("rn.f16.f32", bits(65520.0), half(f32::INFINITY)),
        ("rn.f16.f32", bits(3e-8), 1),
    ] {
        let found = compute(&format!("cvt.{conversion}"), &[operand]);
        assert_eq!(found, expected, "{conversion} {operand:#x}");
    }
    // The first becomes the upper half.
    let pair = compute("cvt.rn.f16x2.f32", &[bits(1.0), bits(2.0)]);
    assert_eq!(pair, half(1.0) << 16 | half(2.0));
}

#[test]
fn division_by_zero_is_a_fault() {
    for instruction in ["div.s32", "rem.u64"] {
        let result = run_lanes(
            &format!("{instruction} %a4, %a0, %a1;"),
            &[[1, 1, 0, 0], [1; 4], [1, 0, 0, 0]],
        );
        match result {
            Err(Error::Fault { fault: Fault::DivisionByZero, place }) => {
                assert_eq!(place.thread, Some(2));
            }
            other => panic!("{other:?}"),
        }
    }
}
