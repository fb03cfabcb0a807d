//! Tests of the built program.

mod batch_jobs;
mod checkpoints;
mod classify;
mod compare;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod cuda;
mod evaluate;
mod explain;
mod explain_page;
mod faithfulness;
#[cfg(unix)]
mod files;
#[cfg(feature = "hub")]
mod hub;
mod info;
mod machine;
#[cfg(feature = "prune")]
mod prune;
#[cfg(all(feature = "serve", unix))]
mod server_process;
mod support;
