//! Terminal output: styles, bars, progress, and predictions and explanations as text or JSON.

pub mod explanation;
pub mod progress;
pub mod report;
pub mod terminal;
