//! The backward pass, and the engine that has one.
//!
//! It runs through the operations of [`Pass`] from last to first. The gradient of each operation has a file here and
//! works on [`SavedActivations`]. Gradients go into the buffers of the [`Workspace`] whose values they belong to.

mod activation;
mod attention;
mod constant_attention;
mod first_tokens;
mod integrate;
mod last_layer;
mod layer_norm;
mod pass;
mod probabilities;
mod quadrature;
mod relevance;
mod saved;
#[cfg(feature = "prune")]
mod sensitivity;
mod spread;
mod sums;
#[cfg(test)]
mod tests;
mod transposed;

use self::attention::AttentionBackwardScratch;
use self::pass::{AttentionMemory, BackwardPass, Directions};
use self::saved::SavedActivations;
#[cfg(feature = "prune")]
pub(crate) use self::sensitivity::{SumGradients, TakeGradients};
use self::sums::Sums;
use self::transposed::Transposed;
use crate::attribution::{Attribute, Attribution, LogitGradient, Rules, Shares};
use crate::backend::Forward;
use crate::cpu::executor::Executor;
use crate::cpu::forward::{Engine, Pass};
use crate::cpu::gemm::epilogue::ActivationValue;
use crate::cpu::gemm::weight::{FloatWeight, Weight};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::memory::pool::Pool;
use crate::cpu::parallel::team::Leader;
use crate::cpu::workspace::Workspace;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::model::config::Config;
use crate::sync::{OnceBox, PerProcess, Turns};

/// Maximum number of tokens per sub-batch. More would not be faster, and this limit saves 85 MB of activations at
/// DistilBERT-base's size. A panel of integrated gradients is never split and may have up to four times as many.
const SUB_BATCH_TOKENS: usize = 512;

/// An engine that also has a backward pass.
pub(super) struct Differentiable<W: Weight> {
    engine: Engine<W>,
    /// Transposed weights, which the first explanation makes.
    transposed: OnceBox<Transposed<W>>,
    /// Turn of the call that makes them.
    making: PerProcess<Turns>,
    memory: Pool<Memory<W>>,
}

/// Working memory of an explanation.
#[derive(Default)]
struct Memory<W: Weight> {
    workspace: Workspace<W>,
    attention: AttentionMemory,
    saved: SavedActivations,
    /// `[tokens, dim]`: factors of the tokens' gradients.
    directions: AlignedVec,
    /// `[rows, labels]`
    logits: AlignedVec,
    /// `[rows, labels]`
    logit_gradients: AlignedVec,
    /// `[rows, dim]`: input of the head's ReLU, then the fraction of a gradient that it passes.
    gates: AlignedVec,
    sums: Sums,
}

impl<W: FloatWeight> Differentiable<W> {
    pub fn new(engine: Engine<W>) -> Self {
        let making = PerProcess::new(Turns::new(1));
        let memory = Pool::new(engine.threads.concurrent_calls());
        Self { engine, transposed: OnceBox::new(), making, memory }
    }

    /// Returns the engine of the forward pass.
    pub fn engine(&self) -> &Engine<W> {
        &self.engine
    }

    /// Calls `work` on the engine's threads with working memory.
    fn with_memory<R: Send>(&self, work: impl FnOnce(Leader<'_>, &mut Memory<W>) -> R + Send) -> R {
        let threads = &self.engine.threads;
        threads.run(|leader| {
            self.memory.with(|memory| {
                memory.workspace.set_threads(threads.count());
                let scratch = &mut memory.attention.threads;
                scratch.resize_with(threads.count(), AttentionBackwardScratch::default);
                work(leader, memory)
            })
        })
    }

    fn transposed(&self) -> &Transposed<W> {
        if let Some(transposed) = self.transposed.get() {
            return transposed;
        }
        // The copy is as large as the weights themselves, so concurrent calls wait for one instead of each making its
        // own. No call waits for this turn while it holds threads.
        let _turn = self.making.get_or_make(|| Turns::new(1)).take();
        if let Some(transposed) = self.transposed.get() {
            return transposed;
        }
        let Engine { isa, model, threads, .. } = &self.engine;
        let transposed = threads
            .run_without_pool(|leader| Transposed::new(&mut Executor { isa: *isa, leader }, model));
        self.transposed.get_or_set(transposed)
    }

    fn pass<'a>(&'a self, leader: Leader<'a>) -> Pass<'a, W> {
        self.engine.pass(leader)
    }

    /// Runs the forward pass from `hidden` to the logits, and saves the activations that the rules need.
    fn forward(&self, pass: &mut Pass<'_, W>, memory: &mut Memory<W>, rules: Rules) {
        let Memory { workspace, saved, logits, gates, .. } = memory;
        let (model, panel) = (&self.engine.model, self.engine.isa.shape().panel);
        saved.resize(&model.config, rules, panel, &workspace.sequences);
        logits.resize(workspace.sequences.len() * model.head.outputs);
        pass.layers(workspace, saved);
        gates.resize(workspace.first_tokens.len());
        pass.head(workspace, logits, Some((ActivationValue::Input, gates)));
    }

    /// Backpropagates from the logits to the tokens, and writes the sum of each token's gradient times its direction.
    fn backward(
        &self,
        pass: &mut Pass<'_, W>,
        memory: &mut Memory<W>,
        (rules, directions): (Rules, Directions),
        gradient: impl Fn(usize, &[f32], &mut [f32]),
        relevance: &mut [f32],
    ) {
        let Memory { workspace, attention, saved, directions: by, logits, .. } = memory;
        let Memory { logit_gradients, gates, sums, .. } = memory;
        let outputs = self.engine.model.head.outputs;
        logit_gradients.resize(logits.len());
        let each = logits.chunks_exact(outputs).zip(logit_gradients.chunks_exact_mut(outputs));
        for (row, (logits, gradients)) in each.enumerate() {
            gradient(row, logits, gradients);
        }
        let mut pass = BackwardPass {
            model: &self.engine.model,
            executor: pass.executor.reborrow(),
            transposed: self.transposed(),
            rules,
            directions,
        };
        let buffers = pass::Memory { workspace, attention, saved, sums };
        pass.backpropagate(buffers, (logit_gradients, gates));
        pass.relevance(workspace, saved, by, relevance);
    }
}

/// Replaces the inputs of the head's ReLU by the fraction of a gradient that it passes.
fn open_gates(gates: &mut [f32]) {
    for gate in gates {
        *gate = if *gate > 0.0 { 1.0 } else { 0.0 };
    }
}

impl<W: FloatWeight> Forward for Differentiable<W> {
    fn config(&self) -> &Config {
        self.engine.config()
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        self.engine.forward(batch, logits)
    }

    #[cfg(feature = "text")]
    fn try_share(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) -> bool {
        self.engine.try_share(tasks, task)
    }

    fn attribute(&self) -> Option<&dyn Attribute> {
        Some(self)
    }
}

impl<W: FloatWeight> Attribute for Differentiable<W> {
    fn attribute(
        &self,
        batch: &TokenBatch,
        rules: Rules,
        gradient: LogitGradient<'_>,
    ) -> Attribution {
        let outputs = self.engine.model.head.outputs;
        let mut attribution = Attribution {
            logits: vec![0.0; batch.rows() * outputs],
            relevance: vec![0.0; batch.tokens()],
            shares: vec![Shares::default(); batch.rows()],
        };
        self.transposed();
        self.with_memory(|leader, memory| {
            let mut pass = self.pass(leader);
            for batch in batch.sub_batches(SUB_BATCH_TOKENS) {
                pass.embed(&batch, &mut memory.workspace);
                memory.directions.resize(memory.workspace.hidden.len());
                memory.directions.copy_from_slice(&memory.workspace.hidden);
                self.forward(&mut pass, memory, rules);
                open_gates(&mut memory.gates);
                let rows = batch.rows;
                let first = rows.start;
                self.backward(
                    &mut pass,
                    memory,
                    (rules, Directions::Embeddings),
                    |row, logits, gradients| gradient(first + row, logits, gradients),
                    &mut attribution.relevance[batch.tokens],
                );
                let logits = rows.start * outputs..rows.end * outputs;
                attribution.logits[logits].copy_from_slice(&memory.logits);
                let shares = &mut attribution.shares[rows];
                memory.sums.write_rows(&memory.workspace.sequences, shares);
            }
        });
        attribution
    }

    fn integrate(
        &self,
        batch: &TokenBatch,
        baseline: &TokenBatch,
        steps: usize,
        gradient: LogitGradient<'_>,
    ) -> Vec<f32> {
        self.integrated_gradients((batch, baseline), steps, gradient)
    }

    fn attention_weights(&self, batch: &TokenBatch) -> Vec<Vec<f32>> {
        let mut weights = Vec::new();
        self.with_memory(|leader, memory| {
            let mut pass = self.pass(leader);
            for batch in batch.sub_batches(SUB_BATCH_TOKENS) {
                pass.embed(&batch, &mut memory.workspace);
                self.forward(&mut pass, memory, Rules::GRADIENT);
                let Memory { workspace, saved, .. } = memory;
                weights.extend(probabilities::of_rows(&mut pass, workspace, saved));
            }
        });
        weights
    }
}
