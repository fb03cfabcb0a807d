//! The CUDA engine, on a GPU where there is one and on a stand-in for the driver's library otherwise.

mod device;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(target_os = "linux")]
mod host;
