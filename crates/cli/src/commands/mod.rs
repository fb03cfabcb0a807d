//! Subcommands, one file or folder each.

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
pub mod quantize;
