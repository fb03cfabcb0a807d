//! [`Device`]: where a model is computed.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Where a model is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// On the processor.
    #[default]
    Cpu,
    /// On the NVIDIA GPU of this number, counted from 0 as the driver does. It needs the feature `cuda` and
    /// compute capability 8.0, and computes in [`F16`](crate::Precision::F16) or
    /// [`Int8`](crate::Precision::Int8).
    Cuda(usize),
    /// On the first GPU if it can compute the model in the precision asked for, and on the processor
    /// otherwise.
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
    type Err = Error;

    /// Reads `cpu`, `cuda` (the first GPU), `cuda:1` or `auto`.
    fn from_str(name: &str) -> Result<Self> {
        let ordinal = |name: &str| name.strip_prefix("cuda:")?.parse().ok();
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "auto" => Ok(Self::Auto),
            _ => ordinal(name)
                .map(Self::Cuda)
                .ok_or_else(|| Error::Device { requested: name.to_owned() }),
        }
    }
}

/// An NVIDIA GPU of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CudaDevice {
    /// The number for [`Device::Cuda`].
    pub ordinal: usize,
    /// The name that the driver gives.
    pub name: String,
    /// The compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// Its memory in bytes.
    pub memory_bytes: usize,
}

impl CudaDevice {
    /// The GPUs that the NVIDIA driver shows, also those that are too old to compute on.
    ///
    /// ```
    /// match distilbert::CudaDevice::list() {
    ///     Ok(devices) => println!("{} GPUs", devices.len()),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::CudaNotBuilt`] without the feature `cuda`, [`Error::CudaDriver`] without a driver.
    pub fn list() -> Result<Vec<Self>> {
        #[cfg(feature = "cuda")]
        let devices = crate::cuda::devices();
        #[cfg(not(feature = "cuda"))]
        let devices = Err(Error::CudaNotBuilt);
        devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_devices_go_both_ways() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(11), Device::Auto] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let error = name.parse::<Device>().unwrap_err();
            assert!(matches!(error, Error::Device { requested } if requested == name));
        }
    }
}
