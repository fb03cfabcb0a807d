//! What an engine is to the classifier.

#[cfg(feature = "explain")]
use crate::attribution::Attribute;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::model::config::Config;

/// A model ready to compute, whatever the device and the instruction set.
pub(crate) trait Forward: Send + Sync {
    fn config(&self) -> &Config;

    /// Computes the logits of each row, `[rows, labels]`. The batch has been checked against the tables.
    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()>;

    /// Returns the backward pass, if the engine has one.
    #[cfg(feature = "explain")]
    fn attribute(&self) -> Option<&dyn Attribute> {
        None
    }
}
