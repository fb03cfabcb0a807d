//! Errors, devices and contexts.

use std::ffi::{CStr, c_char};

use super::{Out, code, give};
use crate::device;
use crate::driver::{self, in_context};
use crate::error::{self, Error};
use crate::handle::Handle;
use crate::settings::SETTINGS;

fn text(
    error: u32,
    which: impl Fn((&'static CStr, &'static CStr)) -> &'static CStr,
) -> *const c_char {
    error::describe(error).map_or(std::ptr::null(), |names| which(names).as_ptr())
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(error: u32, name: Out<*const c_char>) -> u32 {
    give(name, || Ok(text(error, |(name, _)| name)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(error: u32, string: Out<*const c_char>) -> u32 {
    give(string, || Ok(text(error, |(_, string)| string)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: u32) -> u32 {
    code(|| if flags == 0 { driver::initialize() } else { Err(Error::InvalidValue) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDriverGetVersion(version: Out<i32>) -> u32 {
    give(version, || Ok(SETTINGS.driver_version))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetCount(count: Out<i32>) -> u32 {
    give(count, || driver::initialized().map(|_| SETTINGS.devices))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGet(device: Out<i32>, ordinal: i32) -> u32 {
    give(device, || driver::device(ordinal).map(|_| ordinal))
}

/// # Safety
/// `name` must point to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, len: i32, device: i32) -> u32 {
    code(|| {
        driver::device(device)?;
        if name.is_null() || len <= 0 {
            return Err(Error::InvalidValue);
        }
        // SAFETY: the caller guarantees `len` writable bytes.
        let room = unsafe { std::slice::from_raw_parts_mut(name, len as usize) };
        let bytes = device::NAME.bytes().chain(std::iter::repeat(0));
        for (to, byte) in room.iter_mut().zip(bytes) {
            *to = byte as c_char;
        }
        room[len as usize - 1] = 0;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetAttribute(value: Out<i32>, attribute: u32, device: i32) -> u32 {
    give(value, || {
        driver::device(device)?;
        device::attribute(attribute)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: i32) -> u32 {
    give(bytes, || driver::device(device).map(|_| SETTINGS.memory))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: i32) -> u32 {
    give(context, || driver::retain_primary(device))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> u32 {
    code(|| driver::release_primary(device))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetCurrent(context: Out<Handle>) -> u32 {
    give(context, || driver::initialized().map(|_| driver::current()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> u32 {
    code(|| driver::set_current(context))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> u32 {
    code(|| in_context(|context| context.synchronize()))
}
