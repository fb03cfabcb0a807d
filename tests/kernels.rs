//! The CUDA kernels' PTX, run on a machine in software: there is no GPU where these tests run.

#[path = "kernels/mod.rs"]
mod kernels;
mod machine;
#[cfg(feature = "kernels")]
mod support;
