//! The CUDA backend, on a GPU if there is one and on a stand-in for the driver library otherwise.

mod device;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(target_os = "linux")]
mod failures;
#[cfg(target_os = "linux")]
mod host;
