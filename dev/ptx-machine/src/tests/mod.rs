//! Tests of the machine's parts, and of small kernels.

mod checks;
mod fragments;
mod global;
mod instructions;
mod lanes;
mod matrices;
mod modules;
mod parts;
mod shared;

use crate::{Argument, Counts, Error, Fault, Launch, Memory, Module};

/// Wraps a body into a kernel `test` with one parameter, the address in `%buffer`, and registers of each type.
///
/// The machine ignores the declared width of registers, so most here are as wide as possible.
fn kernel(declarations: &str, body: &str) -> Module {
    let text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.extern .shared .align 16 .b8 dynamic[];\n\
         .visible .entry test(.param .u64 pointer)\n{{\n\
         .reg .pred %p<4>; .reg .b32 %r<32>; .reg .b64 %a<16>, %buffer;\n{declarations}\n\
         ld.param.u64 %buffer, [pointer];\n{body}\nret;\n}}\n"
    );
    Module::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Runs such a kernel with one block of `threads` threads on a buffer with these bytes.
fn run(module: &Module, threads: u32, bytes: &mut Vec<u8>) -> Result<Counts, Error> {
    let mut memory = Memory::new();
    let address = memory.allocate_with(bytes);
    let arguments = [Argument::from(address)];
    let launch = Launch {
        kernel: "test",
        grid: [1; 3],
        block: [threads, 1, 1],
        shared_bytes: 1024,
        arguments: &arguments,
    };
    let counts = module.launch(&mut memory, &launch)?;
    *bytes = memory.read(address, bytes.len()).unwrap();
    Ok(counts)
}

/// Runs a body in one warp. `%a0` to `%a3` have these values in each lane; the result is `%a4` at the end.
fn run_lanes(body: &str, values: &[[u64; 4]]) -> Result<Vec<u64>, Error> {
    let module = kernel(
        "",
        &format!(
            "mov.u32 %r0, %laneid; mul.wide.u32 %a5, %r0, 32; add.s64 %a5, %buffer, %a5;\n\
             ld.global.v2.b64 {{%a0, %a1}}, [%a5]; ld.global.v2.b64 {{%a2, %a3}}, [%a5+16];\n\
             {body}\nst.global.b64 [%a5], %a4;"
        ),
    );
    let mut bytes: Vec<u8> =
        values.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    run(&module, values.len() as u32, &mut bytes)?;
    let result = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    Ok(bytes.chunks(32).map(result).collect())
}

/// Returns the fault of a body that `threads` threads run.
fn fault(threads: u32, body: &str) -> Option<Fault> {
    match run(&kernel("", body), threads, &mut vec![0; 4096]) {
        Ok(_) => None,
        Err(Error::Fault { fault, .. }) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}
