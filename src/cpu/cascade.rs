//! [`Cascade`]: int8 for every row, then f32 for the rows that int8 decides by too little.

use std::sync::Arc;

#[cfg(feature = "explain")]
use super::backward::Differentiable;
use super::forward::Engine;
use super::memory::pool::Pool;
use super::parallel::threads::Threads;
use super::simd::SelectedIsa;
#[cfg(feature = "explain")]
use crate::attribution::Attribute;
use crate::backend::{Forward, Stages};
use crate::error::{PrecisionError, Result};
use crate::input::batch::TokenBatch;
use crate::margin::{Margin, distance};
use crate::model::checkpoint::Checkpoint;
use crate::model::config::{Config, ProblemType};

/// A model in int8 and in f32, on the same threads.
///
/// A call takes one turn for both passes.
pub(super) struct Cascade {
    first: Engine<i8>,
    #[cfg(feature = "explain")]
    second: Differentiable<f32>,
    #[cfg(not(feature = "explain"))]
    second: Engine<f32>,
    margin: Margin,
    problem_type: ProblemType,
    scratch: Pool<Scratch>,
}

/// Rows that are computed again, reused from call to call.
#[derive(Default)]
struct Scratch {
    /// Their indices in the batch.
    rows: Vec<usize>,
    batch: TokenBatch,
    logits: Vec<f32>,
}

impl Cascade {
    /// Loads a model in both precisions.
    ///
    /// # Errors
    /// [`PrecisionError::QuantizedCascade`] and [`PrecisionError::RegressionCascade`]; otherwise as for
    /// [`Engine::load`].
    pub fn load(
        isa: SelectedIsa,
        config: Config,
        checkpoint: &Checkpoint,
        margin: Margin,
        threads: Threads,
    ) -> Result<Self> {
        if checkpoint.is_int8() {
            return Err(PrecisionError::QuantizedCascade.into());
        }
        let threads = Arc::new(threads);
        let first = Engine::<i8>::load(isa, config, checkpoint, threads.clone())?;
        let config = first.config().clone();
        let problem_type = config.problem_type_for(config.id2label.len());
        if problem_type == ProblemType::Regression {
            return Err(PrecisionError::RegressionCascade.into());
        }
        let second = Engine::<f32>::load(isa, config, checkpoint, threads.clone())?;
        #[cfg(feature = "explain")]
        let second = Differentiable::new(second);
        let scratch = Pool::new(threads.concurrent_calls());
        Ok(Self { first, second, margin, problem_type, scratch })
    }

    /// Returns the f32 engine of the forward pass.
    fn second(&self) -> &Engine<f32> {
        #[cfg(feature = "explain")]
        return self.second.engine();
        #[cfg(not(feature = "explain"))]
        &self.second
    }

    /// Returns `true` if a row's logits in int8 are its answer.
    fn accepts(&self, logits: &[f32]) -> bool {
        self.margin.accepts(distance(logits.iter().copied(), self.problem_type))
    }
}

impl Forward for Cascade {
    fn config(&self) -> &Config {
        self.first.config()
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        let outputs = self.first.model.head.outputs;
        self.first.threads.run(|mut leader| {
            self.first.forward_led(leader.reborrow(), batch, logits);
            self.scratch.with(|Scratch { rows, batch: part, logits: exact }| {
                rows.clear();
                let each = logits.chunks_exact(outputs).enumerate();
                rows.extend(each.filter(|(_, row)| !self.accepts(row)).map(|(index, _)| index));
                if rows.is_empty() {
                    return;
                }
                part.set_rows(batch, rows);
                exact.resize(rows.len() * outputs, 0.0);
                self.second().forward_led(leader, part, exact);
                for (&row, exact) in rows.iter().zip(exact.chunks_exact(outputs)) {
                    logits[row * outputs..][..outputs].copy_from_slice(exact);
                }
            });
        });
        Ok(())
    }

    #[cfg(feature = "text")]
    fn try_share(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) -> bool {
        self.first.try_share(tasks, task)
    }

    fn stages(&self) -> Option<Stages<'_>> {
        Some(Stages { first: &self.first, second: &self.second, margin: self.margin })
    }

    #[cfg(feature = "explain")]
    fn attribute(&self) -> Option<&dyn Attribute> {
        Some(&self.second)
    }
}
