//! Subcommands, one file or folder each, which declares its options (`Arguments`) and runs them.

pub mod bench;
pub mod classify;
pub mod compare;
pub mod completions;
pub mod convert;
pub mod evaluate;
pub mod explain;
pub mod faithfulness;
pub mod info;
pub mod man;
#[cfg(feature = "prune")]
pub mod prune;
pub mod quantize;
#[cfg(feature = "serve")]
pub mod serve;
