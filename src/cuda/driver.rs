//! The NVIDIA driver: whether there is one, and which GPUs it shows.

use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use cudarc::driver::{CudaContext, DriverError, result};

use crate::device::CudaDevice;
use crate::error::{Error, Result};

/// What the kernels are compiled for: `mma`, `ldmatrix` and `cp.async` came with it.
const LEAST_CAPABILITY: (u32, u32) = (8, 0);

/// The first CUDA version whose drivers take the kernels' PTX, as the driver counts.
const LEAST_DRIVER: i32 = 12_000;

/// The GPUs that the driver shows.
pub(crate) fn devices() -> Result<Vec<CudaDevice>> {
    (0..count()?).map(device).collect()
}

/// Opens a GPU that the kernels run on.
pub fn open(ordinal: usize) -> Result<Arc<CudaContext>> {
    let count = count()?;
    if ordinal >= count {
        return Err(Error::NoCudaDevice { ordinal, count });
    }
    let CudaDevice { name, compute_capability: found, .. } = device(ordinal)?;
    if found < LEAST_CAPABILITY {
        return Err(Error::CudaCapability { ordinal, name, found, needed: LEAST_CAPABILITY });
    }
    let context = CudaContext::new(ordinal).map_err(failed("open"))?;
    // SAFETY: streams are ordered by hand, as `cuda/mod.rs` says. Events would break captures.
    unsafe { context.disable_event_tracking() };
    Ok(context)
}

/// Looks for the driver and counts its GPUs.
fn count() -> Result<usize> {
    let missing = |reason: &str| Error::CudaDriver { reason: reason.to_owned() };
    // The driver's library is loaded by name; without it, every other call would panic.
    // SAFETY: loading NVIDIA's library runs nothing but its own set-up.
    if !unsafe { sys::is_culib_present() } {
        return Err(missing("its library (libcuda.so or nvcuda.dll) is not there"));
    }
    let mut version = 0;
    // SAFETY: the pointer is to a live integer.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    if status != sys::CUresult::CUDA_SUCCESS {
        return Err(missing(&reason(DriverError(status))));
    }
    if version < LEAST_DRIVER {
        let found = format!("{}.{}", version / 1000, version % 1000 / 10);
        return Err(missing(&format!("it is for CUDA {found}, but 12.0 or newer is needed")));
    }
    match result::init() {
        Ok(()) => {}
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Ok(0),
        Err(error) => return Err(missing(&reason(error))),
    }
    let count = result::device::get_count().map_err(failed("be counted"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// What the driver says of a GPU, which is one of [`count`].
fn device(ordinal: usize) -> Result<CudaDevice> {
    let read = || {
        let device = result::device::get(ordinal as i32)?;
        // SAFETY: the driver has just given the handle.
        let attribute = |which| unsafe { result::device::get_attribute(device, which) };
        let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(CudaDevice {
            ordinal,
            name: result::device::get_name(device)?,
            compute_capability: (major as u32, minor as u32),
            // SAFETY: as above.
            memory_bytes: unsafe { result::device::total_mem(device) }?,
        })
    };
    read().map_err(failed("describe itself"))
}

/// Makes the driver's error one of what the GPU was to do.
pub fn failed(operation: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| Error::Cuda { operation, reason: reason(error) }
}

/// What the driver says of an error.
fn reason(error: DriverError) -> String {
    let name = match error.error_name() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    };
    match error.error_string() {
        Ok(text) => format!("{} ({name})", text.to_string_lossy()),
        Err(_) => name,
    }
}
