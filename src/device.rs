//! [`Device`]: the processor or GPU that runs a model.

use std::fmt;
use std::str::FromStr;

use crate::error::{DeviceError, Result};

/// Device that runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU with this index, in the driver's order. Requires the feature `cuda` and compute
    /// capability 8.0 or higher, and computes in [`F16`](crate::Precision::F16) or
    /// [`Int8`](crate::Precision::Int8).
    Cuda(usize),
    /// The first GPU if it can run the model in the requested precision, and the processor otherwise.
    ///
    /// Without a requested precision, the GPU computes in [`F16`](crate::Precision::F16) and the processor in
    /// [`F32`](crate::Precision::F32), or both in [`Int8`](crate::Precision::Int8) if the checkpoint is stored as int8.
    /// Only a [`DeviceError`] makes the processor take over: a weight too large for `F16` is an error.
    Auto,
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(ordinal) => write!(formatter, "cuda:{ordinal}"),
            Self::Auto => formatter.write_str("auto"),
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    /// Parses `cpu`, `cuda` (the first GPU), `cuda:N` or `auto`.
    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let ordinal = |name: &str| name.strip_prefix("cuda:")?.parse().ok();
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "auto" => Ok(Self::Auto),
            _ => ordinal(name)
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::UnknownDevice { requested: name.to_owned() }),
        }
    }
}

/// An NVIDIA GPU in this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CudaDevice {
    /// Index for [`Device::Cuda`].
    pub ordinal: usize,
    /// Name that the driver reports.
    pub name: String,
    /// Compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// Total device memory, in bytes.
    pub memory_bytes: usize,
}

impl CudaDevice {
    /// Lists the GPUs that the NVIDIA driver reports, including those that are too old to run a model.
    ///
    /// ```
    /// match distilbert::CudaDevice::list() {
    ///     Ok(devices) => println!("{} GPUs", devices.len()),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DeviceError::CudaNotBuilt`] without the feature `cuda`, [`DeviceError::CudaDriver`] if the driver is missing
    /// or too old, [`DeviceError::Cuda`] if it fails.
    pub fn list() -> Result<Vec<Self>> {
        #[cfg(feature = "cuda")]
        let devices = crate::cuda::devices();
        #[cfg(not(feature = "cuda"))]
        let devices = Err(DeviceError::CudaNotBuilt.into());
        devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_from_str_round_trip() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(11), Device::Auto] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let error = name.parse::<Device>().unwrap_err();
            assert!(matches!(error, DeviceError::UnknownDevice { requested } if requested == name));
        }
    }
}
