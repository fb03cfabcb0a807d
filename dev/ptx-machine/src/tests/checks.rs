//! Checks of a kernel's memory accesses.

use super::{fault, kernel, run};
use crate::{Argument, Error, Fault, Launch, Memory, MemorySpace, Module, Use};

/// `%r1` is four times the index of the thread, `%a1` the thread's address in the buffer.
const START: &str = "mov.u32 %r0, %tid.x; shl.b32 %r1, %r0, 2; cvt.u64.u32 %a0, %r1; \
                     add.s64 %a1, %buffer, %a0;";

fn of(body: &str) -> Option<Fault> {
    fault(64, &format!("{START} {body}"))
}

fn race(now: Use, before: Use, address: u64, other: u32) -> Option<Fault> {
    Some(Fault::Race { address, now, before, other })
}

#[test]
fn detects_accesses_out_of_bounds() {
    let load = "ld.global.u32 %r2, [%a1+";
    assert_eq!(of(&format!("{load}3840];")), None);
    let out = of(&format!("{load}3844];"));
    assert!(
        matches!(out, Some(Fault::OutOfBounds { space: MemorySpace::Global, bytes: 4, .. })),
        "{out:?}"
    );
    assert!(matches!(of("st.global.u8 [%buffer-1], %r0;"), Some(Fault::OutOfBounds { .. })));
    let copy = "cp.async.ca.shared.global [%r1], [%a1+3844], 4; cp.async.wait_all;";
    let out = of(copy);
    assert!(matches!(out, Some(Fault::OutOfBounds { space: MemorySpace::Global, .. })), "{out:?}");
    let expected = Fault::OutOfBounds { space: MemorySpace::Shared, address: 1024, bytes: 4 };
    assert_eq!(of("st.shared.u32 [%r1+772], %r0;"), Some(expected));
    assert_eq!(of("st.shared.u32 [%r1+768], %r0;"), None);
    let expected = Fault::OutOfBounds { space: MemorySpace::Parameters, address: 8, bytes: 8 };
    assert_eq!(of("ld.param.u64 %a2, [pointer+8];"), Some(expected));
}

#[test]
fn detects_misaligned_accesses() {
    for body in [
        "ld.global.u32 %r2, [%a1+2];",
        "ld.global.v2.f32 {%r2, %r3}, [%a1];",
        "st.global.v4.b32 [%buffer+8], {%r0, %r0, %r0, %r0};",
        "st.shared.u16 [%r1+1], %r0;",
        "ld.param.u64 %a2, [pointer+4];",
        "cp.async.ca.shared.global [%r1], [%a1+2], 4; cp.async.wait_all;",
        "cp.async.ca.shared.global [%r1+2], [%a1], 4; cp.async.wait_all;",
    ] {
        assert!(matches!(of(body), Some(Fault::Misaligned { .. })), "{body}");
    }
    assert_eq!(of("ld.global.nc.v4.f32 {%r2, %r3, %r4, %r5}, [%buffer+16];"), None);
}

/// The other thread is in the same warp or in the next one.
#[test]
fn detects_races_without_a_barrier() {
    // The next warp reads what the first one writes after its own read.
    let ways = [
        ("xor.b32 %r2, %r1, 4;", "bar.warp.sync -1;", race(Use::Written, Use::Read, 0, 1)),
        ("xor.b32 %r2, %r1, 128;", "bar.sync 0;", race(Use::Read, Use::Written, 0, 0)),
    ];
    for (other, barrier, expected) in ways {
        let write_then_read = |barrier: &str| {
            of(&format!("{other} st.shared.u32 [%r1], %r0; {barrier} ld.shared.u32 %r3, [%r2];"))
        };
        let read_then_write = |barrier: &str| {
            of(&format!(
                "st.shared.u32 [%r1], %r0; bar.sync 0; {other} ld.shared.u32 %r3, [%r2]; {barrier} \
                 st.shared.u32 [%r1], %r3;"
            ))
        };
        assert_eq!((write_then_read(barrier), read_then_write(barrier)), (None, None));
        assert!(write_then_read("").is_some());
        assert_eq!(read_then_write(""), expected);
    }
    let write = "st.shared.u32 [%r1], %r0;";
    let one_for_all = format!("{write} st.shared.u32 [256], %r0;");
    assert_eq!(of(&one_for_all), race(Use::Written, Use::Written, 256, 0));
    let neighbors = format!("{write} xor.b32 %r2, %r1, 4; ld.shared.u32 %r3, [%r2];");
    assert_eq!(of(&neighbors), race(Use::Read, Use::Written, 4, 1));
    // A warp's barrier doesn't synchronize warps.
    let far = format!("{write} bar.warp.sync -1; xor.b32 %r2, %r1, 128; ld.shared.u32 %r3, [%r2];");
    assert!(of(&far).is_some());
}

#[test]
fn detects_uninitialized_reads() {
    let expected = Fault::Uninitialized { space: MemorySpace::Shared, address: 4 };
    let body = "setp.eq.u32 %p0, %r0, 0; @%p0 st.shared.u32 [0], %r0; bar.sync 0;";
    assert_eq!(of(&format!("{body} ld.shared.u32 %r2, [4];")), Some(expected));
    assert_eq!(of(&format!("{body} ld.shared.u32 %r2, [0];")), None);
}

#[test]
fn detects_missing_waits_for_copies() {
    let copy = "cp.async.ca.shared.global [%r1], [%a1], 4;";
    let more = "cp.async.ca.shared.global [%r1+256], [%a1], 4; cp.async.commit_group;";
    let read = "ld.shared.u32 %r2, [%r1];";
    let groups = format!("{copy} cp.async.commit_group; {more}");
    let end = "cp.async.wait_all;";
    for wait in ["cp.async.wait_group 0;", "cp.async.wait_group 1;", "cp.async.wait_all;"] {
        assert_eq!(of(&format!("{groups} {wait} {read} {end}")), None, "{wait}");
    }
    let in_flight = Some(Fault::CopyInFlight { address: 0, now: Use::Read });
    for wait in ["", "bar.sync 0;", "cp.async.wait_group 2;"] {
        assert_eq!(of(&format!("{groups} {wait} {read} {end}")), in_flight, "{wait}");
    }
    // Waiting for groups has no effect on copies outside a group.
    assert_eq!(of(&format!("{copy} cp.async.wait_group 0; {read} {end}")), in_flight);
    // Other threads see a copy after its thread's wait and a barrier, in this order.
    let other = "xor.b32 %r3, %r1, 128; ld.shared.u32 %r2, [%r3];";
    assert_eq!(of(&format!("{copy} {end} bar.sync 0; {other}")), None);
    assert!(of(&format!("{copy} bar.sync 0; {end} {other}")).is_some());
    assert_eq!(of(&groups), Some(Fault::CopiesLeft));
    assert_eq!(of(copy), Some(Fault::CopiesLeft));
}

#[test]
fn short_copies_are_filled_with_zeros() {
    let body = |source_bytes: u32| {
        format!(
            "cp.async.cg.shared.global.L2::128B [dynamic], [%buffer], 16, {source_bytes};\n\
             cp.async.wait_all; ld.shared.v4.u32 {{%r1, %r2, %r3, %r4}}, [dynamic];\n\
             st.global.v4.u32 [%buffer+16], {{%r1, %r2, %r3, %r4}};"
        )
    };
    for source_bytes in [0, 6, 16] {
        let mut bytes: Vec<u8> = (1..=32).collect();
        run(&kernel("", &body(source_bytes)), 1, &mut bytes).unwrap();
        let expected: Vec<_> =
            (1..=16).map(|byte| if u32::from(byte) <= source_bytes { byte } else { 0 }).collect();
        assert_eq!(bytes[16..], expected);
    }
    let found = fault(1, &body(17));
    assert_eq!(found, Some(Fault::CopySize { bytes: 16, source_bytes: 17 }));
}

#[test]
fn detects_races_between_blocks() {
    let text = |index: &str| {
        format!(
            ".visible .entry write(.param .u64 pointer) {{ .reg .b32 %r<2>; .reg .b64 %a<4>;\n\
             ld.param.u64 %a0, [pointer]; mov.u32 %r0, {index}; mul.wide.u32 %a1, %r0, 4;\n\
             add.s64 %a2, %a0, %a1; st.global.u32 [%a2], %r0; ret; }}"
        )
    };
    let run = |index: &str| {
        let mut memory = Memory::new();
        let address = memory.allocate(16);
        let arguments = [Argument::from(address)];
        let launch = Launch {
            kernel: "write",
            grid: [2, 2, 1],
            block: [1; 3],
            shared_bytes: 0,
            arguments: &arguments,
        };
        let counts = Module::parse(&text(index)).unwrap().launch(&mut memory, &launch)?;
        assert_eq!((counts.instructions, counts.global_bytes_stored), (8 * 4 - 8, 4 * 4));
        Ok::<_, Error>(memory.read(address, 16))
    };
    let meets = run("%ctaid.x");
    assert!(matches!(meets, Err(Error::Fault { fault: Fault::BlockRace { .. }, .. })), "{meets:?}");
    assert!(run("%ctaid.y").is_err());
}
