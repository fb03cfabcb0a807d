//! Memory of the GPU.

use std::sync::Arc;

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DriverError};

use half::f16;

use super::driver::failed;
use crate::error::{Error, Result};

/// Bytes of a half.
pub const HALF: usize = size_of::<f16>();

/// Bytes of a row's scale and zero point.
pub const ROW_SCALE: usize = 2 * size_of::<f32>();

/// A place in the GPU's memory, as kernels take it.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub u64);

impl Address {
    /// So many bytes further.
    pub fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// Allocated bytes.
pub struct Buffer {
    pub bytes: CudaSlice<u8>,
    pub start: Address,
}

impl Buffer {
    /// Allocates bytes that must be written before they are read.
    pub fn new(stream: &Arc<CudaStream>, bytes: usize) -> Result<Self> {
        // SAFETY: the callers write bytes before anything reads them.
        let bytes =
            unsafe { stream.alloc::<u8>(bytes) }.map_err(|error| full(stream, error, bytes))?;
        let start = Address(bytes.device_ptr(stream).0);
        Ok(Self { bytes, start })
    }

    /// Allocates bytes that are zero for what comes later on the stream.
    pub fn zeroed(stream: &Arc<CudaStream>, bytes: usize) -> Result<Self> {
        let mut buffer = Self::new(stream, bytes)?;
        stream.memset_zeros(&mut buffer.bytes).map_err(failed("clear memory"))?;
        Ok(buffer)
    }

    /// Copies bytes to the device, for what comes later on the stream.
    pub fn upload(stream: &Arc<CudaStream>, bytes: &[u8]) -> Result<Self> {
        let mut buffer = Self::new(stream, bytes.len())?;
        stream.memcpy_htod(bytes, &mut buffer.bytes).map_err(failed("receive weights"))?;
        Ok(buffer)
    }

    /// As [`upload`](Self::upload).
    pub fn upload_floats(stream: &Arc<CudaStream>, values: &[f32]) -> Result<Self> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::upload(stream, &bytes)
    }
}

/// The error of an allocation of so many bytes.
pub fn full(stream: &CudaStream, error: DriverError, needed: usize) -> Error {
    match error {
        DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
            let free = stream.context().mem_get_info().map_or(0, |(free, _)| free);
            Error::CudaMemory { needed, free }
        }
        error => failed("allocate memory")(error),
    }
}
