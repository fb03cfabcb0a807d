//! Control flow, and exchange between the lanes of a warp.

use super::{fault, kernel, run, run_lanes};
use crate::{Error, Fault, Module};

/// Returns a value for each lane.
fn each_lane(value: impl Fn(u64) -> u64) -> Vec<u64> {
    (0..32).map(value).collect()
}

fn run_warp(body: &str) -> Vec<u64> {
    let values: Vec<_> = (0..32).map(|lane| [lane, 0, 0, 0]).collect();
    run_lanes(body, &values).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn lanes_diverge_and_reconverge() {
    let body = "and.b32 %r1, %a0, 1; setp.eq.s32 %p0, %r1, 0; @%p0 bra EVEN;\n\
                mov.u64 %a4, 1; activemask.b32 %r2; bra.uni JOIN;\n\
                EVEN: mov.u64 %a4, 2; activemask.b32 %r2;\n\
                JOIN: activemask.b32 %r3; cvt.u64.u32 %a6, %r2; cvt.u64.u32 %a7, %r3;\n\
                shl.b64 %a4, %a4, 32; or.b64 %a4, %a4, %a6; setp.eq.s32 %p1, %r3, -1;\n\
                @!%p1 mov.u64 %a4, 0;";
    let expected = |lane: u64| {
        if lane.is_multiple_of(2) { 2 << 32 | 0x5555_5555 } else { 1 << 32 | 0xaaaa_aaaa }
    };
    assert_eq!(run_warp(body), each_lane(expected));
}

#[test]
fn lanes_loop_independently() {
    let body = "mov.u64 %a4, 0; mov.u64 %a6, 0;\n\
                LOOP: add.s64 %a4, %a4, %a6; add.s64 %a6, %a6, 1; setp.le.s64 %p0, %a6, %a0;\n\
                @%p0 bra LOOP;";
    assert_eq!(run_warp(body), each_lane(|lane| lane * (lane + 1) / 2));
}

#[test]
fn counts_divergent_branches() {
    let count = |bound| {
        let body =
            format!("mov.u32 %r0, %laneid; setp.lt.u32 %p0, %r0, {bound}; @%p0 bra END; END:");
        run(&kernel("", &body), 32, &mut vec![0; 8]).unwrap().divergent_branches
    };
    assert_eq!([count(0), count(7), count(32)], [0, 1, 0]);
}

#[test]
fn special_registers() {
    for (name, expected) in [
        ("%laneid", each_lane(|lane| lane)),
        ("%tid.x", each_lane(|lane| lane)),
        ("%ntid.x", each_lane(|_| 32)),
        ("%ctaid.y", each_lane(|_| 0)),
        ("%nctaid.z", each_lane(|_| 1)),
        ("%warpid", each_lane(|_| 0)),
        ("%lanemask_lt", each_lane(|lane| (1 << lane) - 1)),
        ("%lanemask_ge", each_lane(|lane| 0xffff_ffff & (0xffff_ffff << lane))),
        ("%lanemask_eq", each_lane(|lane| 1 << lane)),
    ] {
        assert_eq!(run_warp(&format!("mov.u32 %a4, {name};")), expected, "{name}");
    }
}

#[test]
fn lanes_exchange_values() {
    let shuffle = |modifiers: &str, operands: &str| {
        let body = format!(
            "add.s64 %a6, %a0, 100; shfl.sync.{modifiers}.b32 %r1|%p0, %a6, {operands}, -1;\n\
             cvt.u64.u32 %a4, %r1; @!%p0 add.s64 %a4, %a4, 1000;"
        );
        run_warp(&body)
    };
    assert_eq!(shuffle("bfly", "4, 31"), each_lane(|lane| 100 + (lane ^ 4)));
    let down = |lane| if lane < 24 { 108 + lane } else { 1100 + lane };
    assert_eq!(shuffle("down", "8, 31"), each_lane(down));
    let up = |lane| if lane >= 8 { 92 + lane } else { 1100 + lane };
    assert_eq!(shuffle("up", "8, 0"), each_lane(up));
    assert_eq!(shuffle("idx", "3, 31"), each_lane(|_| 103));
}

#[test]
fn lanes_vote_and_reduce() {
    let odd = "and.b32 %r1, %a0, 1; setp.ne.s32 %p0, %r1, 0; setp.eq.s32 %p1, %r1, %r1;";
    for (instruction, expected) in [
        ("vote.sync.ballot.b32 %a4, %p0, -1;", 0xaaaa_aaaa),
        ("vote.sync.ballot.b32 %a4, !%p0, -1;", 0x5555_5555),
        ("vote.sync.any.pred %a4, %p0, -1;", 1),
        ("vote.sync.all.pred %a4, %p0, -1;", 0),
        ("vote.sync.all.pred %a4, %p1, -1;", 1),
        ("vote.sync.uni.pred %a4, %p0, -1;", 0),
        ("vote.sync.uni.pred %a4, !%p1, -1;", 1),
        ("redux.sync.add.s32 %a4, %a0, -1;", 496),
        ("redux.sync.max.u32 %a4, %a0, -1;", 31),
        ("neg.s32 %r2, %a0; redux.sync.min.s32 %a4, %r2, -1;", 0xffff_ffe1),
        ("redux.sync.or.b32 %a4, %a0, -1;", 31),
        ("redux.sync.xor.b32 %a4, %a0, -1;", 0),
    ] {
        assert_eq!(run_warp(&format!("{odd} {instruction}")), [expected; 32], "{instruction}");
    }
}

const HALF_OF_THE_WARP: &str = "mov.u32 %r0, %laneid; setp.lt.u32 %p0, %r0, 16;";

#[test]
fn masks_must_match_the_active_lanes() {
    let active = 0xffff;
    for instruction in [
        "shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1",
        "vote.sync.ballot.b32 %r1, %p0, -1",
        "redux.sync.add.u32 %r1, %r0, -1",
    ] {
        let found = fault(32, &format!("{HALF_OF_THE_WARP} @%p0 {instruction};"));
        assert_eq!(found, Some(Fault::Mask { mask: u32::MAX, active }), "{instruction}");
        let right = instruction.replace("-1", "0xffff");
        assert_eq!(fault(32, &format!("{HALF_OF_THE_WARP} @%p0 {right};")), None, "{right}");
    }
    let mask = "mov.u32 %r0, %laneid; bar.warp.sync 1;";
    assert_eq!(fault(32, mask), Some(Fault::Mask { mask: 1, active: u32::MAX }));
    let unlike = format!("{HALF_OF_THE_WARP} selp.b32 %r1, -1, 7, %p0; bar.warp.sync %r1;");
    assert_eq!(fault(32, &unlike), Some(Fault::Mask { mask: 7, active: u32::MAX }));
}

#[test]
fn shuffles_must_read_active_lanes() {
    let body = format!("{HALF_OF_THE_WARP} @%p0 shfl.sync.bfly.b32 %r1, %r0, 16, 31, 0xffff;");
    assert_eq!(fault(32, &body), Some(Fault::InactiveLane { lane: 16 }));
}

#[test]
fn barriers_require_all_remaining_lanes() {
    let divergent = format!("{HALF_OF_THE_WARP} @%p0 bar.sync 0;");
    let expected = Fault::DivergentBarrier { active: 0xffff, alive: u32::MAX };
    assert_eq!(fault(64, &divergent), Some(expected));
    let after_exit = format!("{HALF_OF_THE_WARP} @%p0 ret; barrier.sync.aligned 0;");
    assert_eq!(fault(64, &after_exit), None);
}

#[test]
fn detects_deadlocks() {
    let body = format!("{HALF_OF_THE_WARP} @%p0 ret; bar.warp.sync -1;");
    assert_eq!(fault(32, &body), Some(Fault::Deadlock { waiting: 0xffff_0000 }));
    // Both halves arrive, from different instructions.
    let body = format!(
        "{HALF_OF_THE_WARP} @%p0 bra LOW; bar.warp.sync -1; bra END; LOW: bar.warp.sync -1; END:"
    );
    assert_eq!(fault(32, &body), None);
}

#[test]
fn detects_missing_exit() {
    let text = ".entry test(.param .u64 pointer) { .reg .b32 %r<2>; mov.u32 %r0, 1; }";
    let error = run(&Module::parse(text).unwrap(), 32, &mut vec![0]).unwrap_err();
    assert!(matches!(error, Error::Fault { fault: Fault::NoExit, .. }), "{error}");
}

#[test]
fn detects_endless_loops() {
    assert!(matches!(fault(1, "LOOP: bra LOOP;"), Some(Fault::Endless(_))));
}
