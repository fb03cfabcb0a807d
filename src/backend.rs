//! [`Forward`]: the interface between the classifier and an engine.

#[cfg(feature = "explain")]
use crate::attribution::Attribute;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::margin::Margin;
use crate::model::config::Config;

/// Model that is loaded on a device and ready to run.
pub(crate) trait Forward: Send + Sync {
    /// Returns the model's configuration, with labels.
    fn config(&self) -> &Config;

    /// Computes the logits, row-major `[rows, labels]`. Callers check the batch against the embedding tables first.
    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()>;

    /// Calls `task` with each index below `tasks`, on this thread and on those of the engine that are free, and returns
    /// when all calls have returned. Returns `false` without calling it if no thread of the engine could help.
    #[cfg(feature = "text")]
    fn try_share(&self, _tasks: usize, _task: &(dyn Fn(usize) + Sync)) -> bool {
        false
    }

    /// Returns the stages of a cascade, if the engine is one.
    fn stages(&self) -> Option<Stages<'_>> {
        None
    }

    /// Returns the backward pass, if the engine has one.
    #[cfg(feature = "explain")]
    fn attribute(&self) -> Option<&dyn Attribute> {
        None
    }
}

/// Engines of a cascade.
#[derive(Clone, Copy)]
pub(crate) struct Stages<'a> {
    /// Engine in int8, which computes every row.
    pub first: &'a dyn Forward,
    /// Engine in f32, which computes the rows that the first one decides by less than the margin.
    pub second: &'a dyn Forward,
    pub margin: Margin,
}
