//! Option groups shared by several commands.

pub mod engine;
pub mod explanation;
pub mod labels;
pub mod long_texts;
pub mod model;
pub mod model_folder;
pub mod named;
