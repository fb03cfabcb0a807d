//! Access to the NVIDIA driver: finds it, lists GPUs, opens one, and converts errors.

use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use cudarc::driver::{CudaContext, DriverError, result};

use crate::device::CudaDevice;
use crate::error::{DeviceError, Error, Result};

/// Lowest compute capability of the kernels, which use `mma`, `ldmatrix` and `cp.async`.
const MIN_CAPABILITY: (u32, u32) = (8, 0);

/// First CUDA version whose drivers accept the kernels' PTX, in the driver's encoding.
const MIN_DRIVER: i32 = 12_000;

/// Lists the GPUs that the driver reports.
pub(crate) fn devices() -> Result<Vec<CudaDevice>> {
    (0..count()?).map(device).collect()
}

/// Opens a GPU on which the kernels can run.
pub fn open(ordinal: usize) -> Result<Arc<CudaContext>> {
    let count = count()?;
    if ordinal >= count {
        return Err(DeviceError::NoCudaDevice { ordinal, count }.into());
    }
    let CudaDevice { name, compute_capability: found, .. } = device(ordinal)?;
    if found < MIN_CAPABILITY {
        return Err(
            DeviceError::CudaCapability { ordinal, name, found, needed: MIN_CAPABILITY }.into()
        );
    }
    let context = CudaContext::new(ordinal).map_err(failed("open the GPU"))?;
    // Events between streams would break captures.
    // SAFETY: streams share only the weights, and `engine::load` waits until they are on the device before
    // another stream reads them, so no stream has to wait for another.
    unsafe { context.disable_event_tracking() };
    Ok(context)
}

/// Initializes the driver and returns the number of GPUs.
fn count() -> Result<usize> {
    let missing =
        |reason: &str| Error::Device(DeviceError::CudaDriver { reason: reason.to_owned() });
    // Without the library, every other call would panic.
    // SAFETY: loading NVIDIA's library runs only its own initialization.
    if !unsafe { sys::is_culib_present() } {
        return Err(missing("its library (libcuda.so or nvcuda.dll) was not found"));
    }
    let mut version = 0;
    // SAFETY: the pointer is valid for writes of an `i32`.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    if status != sys::CUresult::CUDA_SUCCESS {
        return Err(missing(&reason(DriverError(status))));
    }
    if version < MIN_DRIVER {
        let found = format!("{}.{}", version / 1000, version % 1000 / 10);
        return Err(missing(&format!("it supports CUDA {found}, but 12.0 or newer is required")));
    }
    match result::init() {
        Ok(()) => {}
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Ok(0),
        Err(error) => return Err(missing(&reason(error))),
    }
    let count = result::device::get_count().map_err(failed("count the GPUs"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Returns the properties of a GPU; `ordinal` is below [`count`].
fn device(ordinal: usize) -> Result<CudaDevice> {
    let read = || {
        let ordinal_of_driver = i32::try_from(ordinal)
            .map_err(|_| DriverError(sys::CUresult::CUDA_ERROR_INVALID_DEVICE))?;
        let device = result::device::get(ordinal_of_driver)?;
        // SAFETY: the driver has returned this handle.
        let attribute = |which| unsafe { result::device::get_attribute(device, which) };
        let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(CudaDevice {
            ordinal,
            name: result::device::get_name(device)?,
            compute_capability: (major as u32, minor as u32),
            // SAFETY: the driver has returned this handle.
            memory_bytes: unsafe { result::device::total_mem(device) }?,
        })
    };
    read().map_err(failed("read the properties of a GPU"))
}

/// Converts the driver's error from `operation`, a phrase such as `open the GPU`.
pub fn failed(operation: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| DeviceError::Cuda { operation, reason: reason(error) }.into()
}

/// Describes an error in the driver's words.
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
