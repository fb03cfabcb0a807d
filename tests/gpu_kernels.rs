//! The CUDA kernels' PTX, run on a machine in software: there is no GPU where these tests run.

mod kernels;
mod machine;
