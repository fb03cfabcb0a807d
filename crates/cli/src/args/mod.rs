//! Option groups that several commands share.

pub mod engine;
pub mod labels;
pub mod long_text;
pub mod model_folder;
pub mod objective;
pub mod replacement;
