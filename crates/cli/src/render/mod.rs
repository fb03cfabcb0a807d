//! Output: predictions and explanations as text or JSON, progress, and messages.

pub mod explanation;
pub mod json;
pub mod prediction;
pub mod progress;
pub mod terminal;
