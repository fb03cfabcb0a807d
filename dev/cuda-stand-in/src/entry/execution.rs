//! Modules, functions and launches.

use std::ffi::{CStr, c_char, c_void};

use super::{Out, code, give};
use crate::driver::in_context;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::log;
use crate::operation::KernelLaunch;
use ptx_machine::{Argument, Kernel};

/// # Safety
/// The pointer must be null or point to a null-terminated string.
unsafe fn string<'a>(text: *const c_char) -> Result<&'a str> {
    if text.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: guaranteed by the caller.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Error::InvalidValue)
}

/// # Safety
/// The image must be a null-terminated PTX text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: Out<Handle>, image: *const c_char) -> u32 {
    give(module, || {
        // SAFETY: guaranteed by the caller.
        let text = unsafe { string(image) }?;
        in_context(|context| {
            context.refuse_in_any_capture()?;
            log::line("load_module");
            context.resources.modules.load(text)
        })
    })
}

/// Ignores the options, which are for the JIT compiler.
///
/// # Safety
/// The image must be a null-terminated PTX text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: Out<Handle>,
    image: *const c_char,
    _count: u32,
    _options: *const u32,
    _values: *const *const c_void,
) -> u32 {
    // SAFETY: guaranteed by the caller.
    unsafe { cuModuleLoadData(module, image) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> u32 {
    code(|| {
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.resources.modules.unload(module)
        })
    })
}

/// # Safety
/// The name must be a null-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: Out<Handle>,
    module: Handle,
    name: *const c_char,
) -> u32 {
    give(function, || {
        // SAFETY: guaranteed by the caller.
        let name = unsafe { string(name) }?;
        in_context(|context| context.resources.modules.function_named(module, name))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncGetAttribute(value: Out<i32>, attribute: u32, function: Handle) -> u32 {
    give(value, || in_context(|context| context.resources.modules.attribute(function, attribute)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: u32, value: i32) -> u32 {
    code(|| {
        in_context(|context| context.resources.modules.set_attribute(function, attribute, value))
    })
}

/// # Safety
/// There must be one pointer per parameter of the kernel, each to as many bytes as the parameter has.
unsafe fn arguments(kernel: &Kernel, pointers: *const *const u8) -> Result<Vec<Argument>> {
    let parameters = &kernel.parameters;
    if pointers.is_null() {
        return if parameters.is_empty() { Ok(Vec::new()) } else { Err(Error::InvalidValue) };
    }
    // SAFETY: guaranteed by the caller.
    let pointers = unsafe { std::slice::from_raw_parts(pointers, parameters.len()) };
    let read = |(parameter, &pointer): (&ptx_machine::Parameter, &*const u8)| {
        if pointer.is_null() {
            return Err(Error::InvalidValue);
        }
        // SAFETY: guaranteed by the caller.
        let bytes = unsafe { std::slice::from_raw_parts(pointer, parameter.bytes) };
        Ok(Argument::Bytes(bytes.to_vec()))
    };
    parameters.iter().zip(pointers).map(read).collect()
}

/// # Safety
/// There must be one pointer per parameter of the kernel, each to as many bytes as the parameter has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: u32,
    stream: Handle,
    pointers: *const *const u8,
    extra: *const *const c_void,
) -> u32 {
    code(|| {
        if !extra.is_null() {
            let reason = "packed arguments are not modeled";
            return Err(Error::NotSupported.because(reason));
        }
        in_context(|context| {
            let kernel = context.resources.modules.kernel(function)?;
            // SAFETY: guaranteed by the caller.
            let arguments = unsafe { arguments(kernel, pointers) }?;
            let launch = KernelLaunch {
                function,
                grid: [grid_x, grid_y, grid_z],
                block: [block_x, block_y, block_z],
                shared_bytes: shared_bytes as usize,
                arguments,
            };
            context.launch(stream, launch)
        })
    })
}
