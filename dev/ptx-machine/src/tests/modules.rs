//! Valid and invalid texts and launches.

use crate::{Argument, Defect, Error, Fault, Launch, LaunchDefect, Memory, Module, Parameter};

fn defect_of(statement: &str) -> Option<Defect> {
    let text = format!(".entry f(.param .u64 p) {{\n.reg .b32 %r<4>;\n{statement}\nret; }}");
    match Module::parse(&text) {
        Ok(_) => None,
        Err(Error::Text { line, defect }) => {
            assert_eq!(line, 3, "{statement}");
            Some(defect)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn names_unknown_parts_of_an_instruction() {
    let names = |statement: &str, name: &str| {
        let defect = defect_of(statement).unwrap_or_else(|| panic!("{statement} is taken"));
        assert!(defect.to_string().contains(name), "{statement}: {defect}");
    };
    names("frobnicate.u32 %r0, %r1;", "`frobnicate`");
    names("call.uni f, (%r0);", "`call`");
    names("add.rz.f32 %r0, %r1, %r2;", "`.rz`");
    names("add.cc.u32 %r0, %r1, %r2;", "`.cc`");
    names("add.f64 %r0, %r1, %r2;", "`.f64`");
    names("mul.u32 %r0, %r1, %r2;", "part of the product");
    names("fma.rn.s32 %r0, %r1, %r2, %r3;", "`.s32`");
    names("cvt.f16.f32 %r0, %r1;", "rounding");
    names("cvt.u32.f32 %r0, %r1;", "rounding");
    names("cvt.rn.satfinite.e4m3x2.f32 %r0, %r1, %r2;", "satfinite");
    names("ld.u32 %r0, [%r1];", "state space");
    names("ld.global.relaxed.u32 %r0, [%r1];", "`.relaxed`");
    names("ld.global.u32 %r0, [%r9];", "`%r9`");
    names("ld.global.v2.u32 {%r0, %r1, %r2}, [%r3];", "{%r0, %r1, %r2}");
    names("st.param.u32 [p], %r0;", "state space");
    names("bar.sync 1;", "barrier 0");
    names("bar.sync 0, 64;", "operands");
    names("bar.arrive 0, 64;", "`.sync`");
    names("shfl.bfly.b32 %r0, %r1, 1, 31;", "`.sync`");
    names("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 %r0;", "m16n8k8");
    names("cp.async.cg.shared.global [%r0], [%r1], 8;", "`8`");
    names("cp.async.bulk.wait_group 0;", "bulk");
    names("bra NOWHERE;", "`NOWHERE`");
    names("mov.u32 %r0, %clock;", "`%clock`");
    names("add.u32 %r0, %r1;", "missing");
    names("add.u32 %r0, %r1, %r2, %r3;", "operands");
    names(".local .align 4 .b8 depot[16];", ".local");
    names("@%q mov.u32 %r0, 1;", "`%q`");
    names("mov.u32 7, %r0;", "`7`");
    names("bar.sync %r0;", "`%r0`");
    names("ld.global.u32 %r0, %r1;", "an address");
    names("add %r0, %r1, %r2;", "a type");
    names(".reg .b33 %x;", ".b33");
    names("$L: $L:", "`$L`");
    names(".shared .b8 p[4];", "`p`");
    names(".reg .b32 %r2;", "`%r2`");
    assert_eq!(defect_of("add.u32 %r0, %r1, %r2;"), None);
    assert_eq!(defect_of("membar.gl;"), None);
    assert_eq!(defect_of("fence.acq_rel.gpu;"), None);
    assert_eq!(defect_of("ld.global.L1::no_allocate.u32 %r0, [%r1];"), None);
    assert_eq!(defect_of(".pragma \"nounroll\";"), None);
}

#[test]
fn rejects_unsupported_types() {
    for (statement, of) in [
        ("ld.global.pred %r0, [%r1];", "pred"),
        ("ld.global.f16x2 %r0, [%r1];", "f16x2"),
        ("st.global.v4.u64 [%r0], {%r1, %r1, %r1, %r1};", "u64"),
        ("redux.sync.add.f32 %r0, %r1, -1;", "f32"),
        ("redux.sync.and.u32 %r0, %r1, -1;", "u32"),
        ("redux.sync.max.u64 %r0, %r1, -1;", "u64"),
        ("mov.b16 %r0, {%r0, %r1, %r2, %r3};", "b16"),
        ("mov.b32 {%r0, %r1, %r2}, %r3;", "b32"),
        ("dp4a.u16.u32 %r0, %r1, %r2, %r3;", "u16"),
        ("shl.s32 %r0, %r1, %r2;", "s32"),
        ("add.b32 %r0, %r1, %r2;", "b32"),
        ("popc.u32 %r0, %r1;", "u32"),
        ("neg.u32 %r0, %r1;", "u32"),
        ("mul.wide.u64 %r0, %r1, %r2;", "u64"),
        ("sqrt.rn.f16 %r0, %r1;", "f16"),
        ("setp.eq.pred %r0, %r1, %r2;", "pred"),
        ("cvt.u32.b32 %r0, %r1;", "u32"),
        ("cvt.rn.f16x2.f16 %r0, %r1, %r2;", "f16x2"),
    ] {
        let defect = defect_of(statement);
        assert!(
            matches!(&defect, Some(Defect::Type { name, .. }) if *name == of),
            "{statement}: {defect:?}"
        );
    }
}

#[test]
fn names_unknown_parts_of_a_module() {
    let defect = |text: &str| match Module::parse(text) {
        Err(Error::Text { defect, .. }) => defect.to_string(),
        other => panic!("{text}: {:?}", other.map(|_| ())),
    };
    for (text, name) in [
        (".alias f, g;", ".alias"),
        (".hidden .entry f() { ret; }", ".hidden"),
        (".entry f(.reg .u64 p) { ret; }", ".reg .u64 p"),
        (".entry f() .noreturn { ret; }", ".noreturn"),
        (".entry f() { ret; } .entry f() { ret; }", "`f` is declared twice"),
    ] {
        assert!(defect(text).contains(name), "{text}: {}", defect(text));
    }
}

const TEXT: &str = r#"
.version 8.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry scale(
    .param .u64 .ptr .global .align 4 values,
    .param .f32 factor,
    .param .align 8 .b8 shape[8]
)
.maxntid 64, 1, 1
{
    .reg .b32 %r<4>;
    .reg .f32 %f<4>;
    .reg .b64 %rd<4>;
    // a demoted variable
    .shared .align 4 .b8 kept[40];
    .loc 1 7 5
    ld.param.u64 %rd1, [values];
    cvta.to.global.u64 %rd1, %rd1;
    ld.param.f32 %f1, [factor];
    ld.param.u32 %r2, [shape+4];
    mov.u32 %r1, %ctaid.x;
    mad.lo.s32 %r1, %r1, %r2, %r2;
    {
        .reg .b64 %rd1_, %rd2;
        mul.wide.s32 %rd2, %r1, 4;
        .loc 1 9 3, function_name $L__info, inlined_at 1 2 1
        add.s64 %rd3, %rd1, %rd2;
    }
    ld.global.f32 %f2, [%rd3+-4];
    mul.f32 %f2, %f2, %f1;
    st.global.f32 [%rd3+-4], %f2;
    mov.u32 %r3, dynamic;
    st.shared.u32 [%r3], %r3;
    ret;
}
.file 1 "kernels/scale.cu"
.section .debug_str
{
$L__info:
.b8 95
}
"#;

fn scale(memory: &mut Memory, address: u64, change: impl Fn(&mut Launch)) -> Result<(), Error> {
    let arguments = [
        Argument::from(address),
        Argument::from(2.5f32),
        Argument::Bytes(vec![0, 0, 0, 0, 1, 0, 0, 0]),
    ];
    let mut launch = Launch {
        kernel: "scale",
        grid: [3, 1, 1],
        block: [1; 3],
        shared_bytes: 16,
        arguments: &arguments,
    };
    change(&mut launch);
    Module::parse(TEXT).unwrap().launch(memory, &launch).map(|_| ())
}

#[test]
fn runs_a_kernel_with_arguments() {
    let module = Module::parse(TEXT).unwrap();
    let kernel = module.kernel("scale").unwrap();
    let parameter = |offset, bytes| Parameter { offset, bytes };
    assert_eq!(kernel.parameters, [parameter(0, 8), parameter(8, 4), parameter(16, 8)]);
    assert_eq!((kernel.most_threads, kernel.static_shared), (64, 48));
    let mut memory = Memory::new();
    let values = [1f32, 2.0, 3.0].map(f32::to_le_bytes);
    let address = memory.allocate_with(values.as_flattened());
    scale(&mut memory, address, |_| ()).unwrap();
    let expected = [2.5f32, 5.0, 7.5].map(f32::to_le_bytes);
    assert_eq!(memory.read(address, 12).unwrap(), expected.as_flattened());
}

#[test]
fn faults_have_a_location() {
    let mut memory = Memory::new();
    let address = memory.allocate_with(&[0; 8]);
    let error = scale(&mut memory, address, |_| ()).unwrap_err();
    let Error::Fault { fault: Fault::OutOfBounds { .. }, place } = &error else {
        panic!("{error}")
    };
    assert_eq!((place.kernel.as_str(), place.block, place.warp), ("scale", [2, 0, 0], 0));
    assert_eq!((place.thread, place.line), (Some(0), 31));
    assert_eq!(place.source, Some(("kernels/scale.cu".to_owned(), 9)));
    assert!(error.to_string().contains("`ld.global.f32 %f2, [%rd3+-4]`, kernels/scale.cu:9"));
}

#[test]
fn rejects_invalid_launches() {
    let mut memory = Memory::new();
    let address = memory.allocate_with(&[0; 12]);
    let mut defect = |change: &dyn Fn(&mut Launch)| match scale(&mut memory, address, change) {
        Err(Error::Launch { defect, .. }) => defect,
        other => panic!("{other:?}"),
    };
    assert_eq!(defect(&|launch| launch.kernel = "other"), LaunchDefect::Unknown);
    for grid in [[3, 0, 1], [u32::MAX, 1, 1], [1 << 16, 1 << 16, 1]] {
        assert_eq!(defect(&|launch| launch.grid = grid), LaunchDefect::Grid);
    }
    let threads = defect(&|launch| launch.block = [65, 1, 1]);
    assert_eq!(threads, LaunchDefect::Threads { given: 65, most: 64 });
    let threads = defect(&|launch| launch.block = [1, 0, 1]);
    assert_eq!(threads, LaunchDefect::Threads { given: 0, most: 64 });
    let shared = defect(&|launch| launch.shared_bytes = 227 * 1024);
    assert!(matches!(shared, LaunchDefect::SharedBytes { .. }));
    let count = defect(&|launch| launch.arguments = &launch.arguments[1..]);
    assert_eq!(count, LaunchDefect::ArgumentCount { given: 2, wanted: 3 });
}

#[test]
fn rejects_arguments_of_the_wrong_size() {
    let text = ".entry f(.param .u32 number, .param .b8 shape[12]) { ret; }";
    let module = Module::parse(text).unwrap();
    let launch = |number: Argument, shape: Argument| {
        let launch = Launch {
            kernel: "f",
            grid: [1; 3],
            block: [1; 3],
            shared_bytes: 0,
            arguments: &[number, shape],
        };
        module.launch(&mut Memory::new(), &launch).map(|_| ())
    };
    let misfit = |index, wanted| {
        let defect = LaunchDefect::ArgumentSize { index, wanted };
        Err(Error::Launch { kernel: "f".into(), defect })
    };
    let (number, shape) = (Argument::Value(7), Argument::Bytes(vec![0; 12]));
    assert_eq!(launch(number.clone(), shape.clone()), Ok(()));
    assert_eq!(launch(Argument::Value(1 << 32), shape.clone()), misfit(0, 4));
    assert_eq!(launch(Argument::Bytes(vec![0; 8]), shape), misfit(0, 4));
    assert_eq!(launch(number, Argument::Value(0)), misfit(1, 12));
}
