//! Memory, copies and fills.

use super::{Out, code, give};
use crate::driver::in_context;
use crate::error::{Error, Result};
use crate::handle::{self, Handle};
use crate::host::HostRange;
use crate::log;
use crate::operation::Operation;
use crate::settings::SETTINGS;

#[unsafe(no_mangle)]
pub extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> u32 {
    code(|| {
        let (free, total) = (free.ok_or(Error::InvalidValue)?, total.ok_or(Error::InvalidValue)?);
        free.write(in_context(|context| Ok(context.resources.memory.free_bytes()))?);
        total.write(SETTINGS.memory);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemAlloc_v2(address: Out<u64>, len: usize) -> u32 {
    give(address, || {
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.allocate(len)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemAllocAsync(address: Out<u64>, len: usize, stream: Handle) -> u32 {
    give(address, || {
        in_context(|context| {
            context.refuse_in_capture(stream)?;
            context.allocate(len)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    code(|| in_context(|context| context.free(address)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> u32 {
    code(|| in_context(|context| context.free_async(address, stream)))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostAlloc(address: Out<usize>, len: usize, _flags: u32) -> u32 {
    give(address, || {
        in_context(|context| {
            context.refuse_in_any_capture()?;
            let address = context.resources.pinned.allocate(len)?;
            log::line(format_args!("allocate_pinned {len}"));
            Ok(address)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(address: usize) -> u32 {
    code(|| {
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.resources.pinned.free(address)?;
            log::line("free_pinned");
            Ok(())
        })
    })
}

/// # Safety
/// See [`HostRange::new`].
unsafe fn host(address: usize, len: usize) -> Result<HostRange> {
    if address == 0 {
        return Err(Error::InvalidValue);
    }
    // SAFETY: guaranteed by the caller.
    Ok(unsafe { HostRange::new(address, len) })
}

/// # Safety
/// The bytes at `from` must be readable until the copy has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: usize,
    len: usize,
    stream: Handle,
) -> u32 {
    code(|| {
        // SAFETY: guaranteed by the caller.
        let from = unsafe { host(from, len) }?;
        in_context(|context| context.copy_to_device(to, from, stream))
    })
}

/// Returns once the bytes are on the device.
///
/// # Safety
/// The bytes at `from` must be readable until the call returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: usize, len: usize) -> u32 {
    code(|| {
        // SAFETY: guaranteed by the caller.
        let from = unsafe { host(from, len) }?;
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.copy_to_device(to, from, handle::NULL)?;
            context.synchronize_stream(handle::NULL)
        })
    })
}

/// # Safety
/// The bytes at `to` must be writable until the call returns, and pinned bytes until the copy has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: usize,
    from: u64,
    len: usize,
    stream: Handle,
) -> u32 {
    code(|| {
        // SAFETY: guaranteed by the caller.
        let to = unsafe { host(to, len) }?;
        in_context(|context| context.copy_to_host(to, from, stream))
    })
}

/// # Safety
/// The bytes at `to` must be writable until the call returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: usize, from: u64, len: usize) -> u32 {
    code(|| {
        // SAFETY: guaranteed by the caller.
        let to = unsafe { host(to, len) }?;
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.copy_to_host(to, from, handle::NULL)?;
            context.synchronize_stream(handle::NULL)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, len: usize, stream: Handle) -> u32 {
    let operation = Operation::CopyOnDevice { to, from, len };
    code(|| in_context(|context| context.issue(stream, operation)))
}

/// Queues the copy on the default stream without waiting.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, len: usize) -> u32 {
    let operation = Operation::CopyOnDevice { to, from, len };
    code(|| {
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.issue(handle::NULL, operation)
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(at: u64, byte: u8, len: usize, stream: Handle) -> u32 {
    code(|| in_context(|context| context.issue(stream, Operation::Fill { at, byte, len })))
}

/// Queues the fill on the default stream without waiting.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(at: u64, byte: u8, len: usize) -> u32 {
    code(|| {
        in_context(|context| {
            context.refuse_in_any_capture()?;
            context.issue(handle::NULL, Operation::Fill { at, byte, len })
        })
    })
}
