//! Device memory: typed buffers that know their length, and the slices of them that kernels take.

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DriverError, PinnedHostSlice};
use half::f16;

use super::driver::failed;
use crate::error::{DeviceError, Error, Result};

/// Type of the values in a buffer.
///
/// # Safety
/// The type has the same layout on the device, no padding, and no invalid bit patterns.
pub unsafe trait Element: Copy + Default + Send + Sync + 'static {}

macro_rules! elements {
    ($($element:ty)*) => {
        // SAFETY: these are numbers, or `repr(C)` structs of 32-bit numbers without padding.
        $(unsafe impl Element for $element {})*
    };
}
elements!(f16 f32 i8 u8 u32 RowScale Column);

/// Scale and zero point of a row of 8-bit activations: `float2` in the kernels.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
pub struct RowScale {
    scale: f32,
    zero_point: f32,
}

/// Per-output data of an int8 linear layer: `Column` in `kernels/linear.cu` and `kernels/head.cu`.
#[derive(Clone, Copy, Default)]
#[repr(C, align(16))]
pub struct Column {
    pub scale: f32,
    /// Sum of the output's weights.
    pub sum: i32,
    pub bias: f32,
    pub unused: i32,
}

/// Allocation on the device.
pub struct DeviceBuffer<T> {
    bytes: CudaSlice<u8>,
    address: u64,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Element> DeviceBuffer<T> {
    /// Allocates memory whose contents are unspecified.
    pub fn new(stream: &Arc<CudaStream>, len: usize) -> Result<Self> {
        // The driver refuses to allocate nothing.
        let size = byte_size::<T>(len)?.max(1);
        // SAFETY: `u8` is valid for any contents.
        let bytes =
            unsafe { stream.alloc::<u8>(size) }.map_err(|error| allocation(stream, error, size))?;
        let address = bytes.device_ptr(stream).0;
        Ok(Self { bytes, address, len, elements: PhantomData })
    }

    /// Allocates memory that is zero for everything enqueued on the stream afterwards.
    pub fn zeroed(stream: &Arc<CudaStream>, len: usize) -> Result<Self> {
        let mut buffer = Self::new(stream, len)?;
        stream.memset_zeros(&mut buffer.bytes).map_err(failed("clear memory"))?;
        Ok(buffer)
    }

    /// Allocates a copy of `values`.
    pub fn upload(stream: &Arc<CudaStream>, values: &[T]) -> Result<Self> {
        let mut buffer = Self::new(stream, values.len())?;
        // SAFETY: the stream is waited for below, while `values` is borrowed.
        let copied = unsafe { buffer.copy_from(stream, values) };
        copied
            .and_then(|()| stream.synchronize())
            .map_err(failed("copy the weights to the GPU"))?;
        Ok(buffer)
    }

    /// Enqueues a copy of `values` to the beginning of the buffer, which must be long enough.
    ///
    /// # Safety
    /// `values` stays in place and unchanged until the stream has executed the copy.
    pub unsafe fn copy_from(
        &mut self,
        stream: &Arc<CudaStream>,
        values: &[T],
    ) -> Result<(), DriverError> {
        if values.is_empty() {
            return Ok(());
        }
        // cudarc checks the length.
        stream.memcpy_htod(bytes_of(values), &mut self.bytes)
    }

    /// Enqueues a copy of the first values of the buffer to the host, as their bits.
    ///
    /// # Safety
    /// `to` stays in place and is neither read nor written until the stream has executed the copy.
    pub unsafe fn copy_to(
        &self,
        stream: &Arc<CudaStream>,
        to: &mut [u32],
    ) -> Result<(), DriverError> {
        let bytes = size_of_val(to);
        // SAFETY: `u32` has no padding and no invalid bit patterns, and `u8` has no alignment.
        let to = unsafe { slice::from_raw_parts_mut(to.as_mut_ptr().cast::<u8>(), bytes) };
        // cudarc checks the length.
        stream.memcpy_dtoh(&self.bytes.slice(..bytes), to)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_slice(&self) -> DeviceSlice<'_, T> {
        DeviceSlice { address: self.address, len: self.len, memory: PhantomData }
    }

    /// Returns a range of the buffer.
    pub fn slice(&self, range: Range<usize>) -> Result<DeviceSlice<'_, T>> {
        self.as_slice().slice(range)
    }
}

/// Part of a [`DeviceBuffer`]. As a kernel's parameter it is the address, so this is the first field.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DeviceSlice<'m, T> {
    address: u64,
    len: usize,
    memory: PhantomData<&'m DeviceBuffer<T>>,
}

impl<'m, T: Element> DeviceSlice<'m, T> {
    pub fn len(self) -> usize {
        self.len
    }

    /// Returns a range of the slice.
    pub fn slice(self, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.len {
            let reason =
                format!("elements {range:?} are outside a device buffer of {} elements", self.len);
            return Err(DeviceError::Cuda { operation: "address memory", reason }.into());
        }
        let address = self.address + (range.start * size_of::<T>()) as u64;
        Ok(Self { address, len: range.len(), memory: PhantomData })
    }

    /// Returns the slice as bytes.
    pub fn bytes(self) -> DeviceSlice<'m, u8> {
        let len = self.len * size_of::<T>();
        DeviceSlice { address: self.address, len, memory: PhantomData }
    }

    pub fn is_aligned_to(self, bytes: u64) -> bool {
        self.address.is_multiple_of(bytes)
    }

    /// Returns `true` if the slice contains `rows` rows of `width` elements.
    pub fn has_rows(self, rows: usize, width: usize) -> bool {
        self.has_strided_rows(rows, width, width)
    }

    /// Returns `true` if the slice contains `rows` rows of `width` elements that begin `stride` elements
    /// apart.
    pub fn has_strided_rows(self, rows: usize, stride: usize, width: usize) -> bool {
        let Some(last) = rows.checked_sub(1) else { return true };
        let end = last.checked_mul(stride).and_then(|start| start.checked_add(width));
        end.is_some_and(|end| end <= self.len)
    }
}

/// Returns the size of an allocation, or an error if it cannot be expressed.
fn byte_size<T>(len: usize) -> Result<usize> {
    let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
    bytes.ok_or_else(|| {
        let reason = format!("{len} elements of {} bytes exceed the address space", size_of::<T>());
        DeviceError::Cuda { operation: "allocate memory", reason }.into()
    })
}

fn bytes_of<T: Element>(values: &[T]) -> &[u8] {
    // SAFETY: an `Element` has no padding, so all of its bytes are initialized; `u8` has no alignment.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Allocates zeroed, page-locked host memory.
pub fn pinned(
    context: &Arc<CudaContext>,
    stream: &CudaStream,
    len: usize,
) -> Result<PinnedHostSlice<u32>> {
    let size = byte_size::<u32>(len)?;
    // No flags: the host reads this memory, which is slow if it is write-combined.
    // SAFETY: the memory is cleared below, before anything reads it.
    let memory = unsafe { context.alloc_pinned_with_flags::<u32>(len, 0) };
    let mut memory = memory.map_err(|error| allocation(stream, error, size))?;
    let start = memory.as_mut_ptr().map_err(failed("allocate memory"))?;
    // SAFETY: the allocation has `len` elements and nothing else uses it yet.
    unsafe { start.write_bytes(0, len) };
    Ok(memory)
}

/// Returns the error of an allocation of `needed` bytes.
fn allocation(stream: &CudaStream, error: DriverError, needed: usize) -> Error {
    match error {
        DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
            let free = stream.context().mem_get_info().map_or(0, |(free, _)| free);
            DeviceError::CudaMemory { needed, free }.into()
        }
        error => failed("allocate memory")(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(len: usize) -> DeviceSlice<'static, f16> {
        DeviceSlice { address: 256, len, memory: PhantomData }
    }

    #[test]
    fn slices_stay_within_their_buffer() {
        let part = slice(10).slice(2..6).unwrap();
        assert_eq!((part.address, part.len()), (260, 4));
        assert_eq!((part.bytes().address, part.bytes().len()), (260, 8));
        assert!(slice(10).slice(2..11).is_err());
        #[expect(clippy::reversed_empty_ranges, reason = "this is what is tested")]
        let reversed = slice(10).slice(6..2);
        assert!(reversed.is_err());
    }

    #[test]
    fn row_checks_do_not_overflow() {
        assert!(slice(10).has_rows(2, 5));
        assert!(!slice(10).has_rows(3, 5));
        assert!(slice(10).has_strided_rows(3, 4, 2));
        assert!(!slice(10).has_strided_rows(3, 4, 3));
        assert!(slice(0).has_rows(0, usize::MAX));
        assert!(!slice(10).has_rows(usize::MAX, usize::MAX));
        assert!(byte_size::<f32>(usize::MAX / 2).is_err());
    }

    /// The stand-in copies pageable memory as late as the driver may.
    #[cfg(all(target_os = "linux", not(any(loom, miri))))]
    #[test]
    fn values_may_change_once_they_are_uploaded() {
        let name = "cuda::memory::tests::values_may_change_once_they_are_uploaded";
        test_support::stand_in::on_stand_in(name, &[], || {
            let stream = crate::cuda::driver::open(0).unwrap().new_stream().unwrap();
            let mut values = [1u32, 2, 3];
            let buffer = DeviceBuffer::upload(&stream, &values).unwrap();
            // The compiler must not postpone the write.
            std::hint::black_box(&mut values)[1] = 7;
            let mut found = [0; 3];
            // SAFETY: the stream is waited for before `found` is read.
            unsafe { buffer.copy_to(&stream, &mut found) }.unwrap();
            stream.synchronize().unwrap();
            assert_eq!(found, [1, 2, 3]);
        });
    }
}
