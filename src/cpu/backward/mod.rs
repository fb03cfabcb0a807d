//! The backward pass, and an engine that has one.
//!
//! It goes through the operations of `Pass` in [`engine`](crate::cpu::forward) from last to first, each of which
//! has its way back in a file here, over the values that a [`Trace`] has kept. What a forward pass keeps in
//! the [`Scratch`], its gradient has on the way back.

mod activation;
mod attention;
mod first_tokens;
mod held_attention;
mod layer_norm;
mod pass;
mod quadrature;
pub(super) mod saved;
mod spread;
#[cfg(test)]
mod tests;
mod transposed;
mod weights;

use std::ops::Range;
use std::sync::OnceLock;

use self::attention::AttentionBackwardScratch;
use self::pass::{AttentionMemory, BackwardPass, Directions, Sums};
use self::quadrature::Panel;
use self::transposed::Transposed;
use crate::attribution::{Attribute, Attribution, LogitGradient, Rules, Shares};
use crate::backend::Forward;
use crate::cpu::backward::saved::Trace;
use crate::cpu::forward::{Engine, Pass, inner_stride};
use crate::cpu::gemm::weight::{FloatWeight, Weight};
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::memory::scratch::{Pool, Scratch};
use crate::cpu::parallel::team::Team;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::Isa;
use crate::error::Result;
use crate::input::batch::TokenBatch;
use crate::model::checkpoint::Checkpoint;
use crate::model::config::Config;

/// Tokens that go forward and back together: as fast as more, and what is kept of them is 85 MB at
/// DistilBERT-base's size. A panel of integrated gradients goes through whole, and is up to four times as many.
const SUB_BATCH_TOKENS: usize = 512;

/// An engine that also goes backward.
pub(crate) struct Differentiable<I, W: Weight> {
    engine: Engine<I, W>,
    /// Made by the first call that goes backward.
    transposed: OnceLock<Transposed<W>>,
    memory: Pool<Memory<W>>,
}

/// What a call that goes backward works in.
#[derive(Default)]
struct Memory<W: Weight> {
    scratch: Scratch<W>,
    attention: AttentionMemory,
    trace: Trace,
    /// `[tokens, dim]`: what the tokens' gradients are multiplied with.
    directions: AlignedVec,
    /// `[rows, labels]`
    logits: AlignedVec,
    /// `[rows, labels]`
    logit_gradients: AlignedVec,
    /// `[rows, dim]`: what the head's ReLU got, then how much it lets back.
    gates: AlignedVec,
    sums: Sums,
}

impl<I: Isa, W: FloatWeight> Differentiable<I, W> {
    pub fn load(isa: I, config: Config, checkpoint: &Checkpoint, threads: Threads) -> Result<Self> {
        Ok(Self {
            engine: Engine::load(isa, config, checkpoint, threads)?,
            transposed: OnceLock::new(),
            memory: Pool::default(),
        })
    }

    /// Runs work on the engine's threads with working memory.
    fn run<R: Send>(&self, work: impl FnOnce(&Team, &mut Memory<W>) -> R + Send) -> R {
        let mut memory = self.memory.take();
        let threads = self.engine.threads.count();
        memory.scratch.resize(threads);
        memory.attention.threads.resize_with(threads, AttentionBackwardScratch::default);
        let result = self.engine.threads.run(|team| work(team, &mut memory));
        self.memory.give_back(memory);
        result
    }

    fn transposed(&self) -> &Transposed<W> {
        if let Some(transposed) = self.transposed.get() {
            return transposed;
        }
        // Calls at the same time may each make one, of which one stays. To wait for each other while they
        // wait for threads could be for ever.
        let Engine { isa, model, threads, .. } = &self.engine;
        let transposed = threads.run(|team| Transposed::new(*isa, team, model));
        self.transposed.get_or_init(|| transposed)
    }

    fn pass<'a>(&'a self, team: &'a Team) -> Pass<'a, I, W> {
        Pass { isa: self.engine.isa, model: &self.engine.model, team }
    }

    /// From `hidden` to the logits, all on the way kept that the rules need.
    fn forward(&self, team: &Team, memory: &mut Memory<W>, rules: Rules) {
        let Memory { scratch, trace, logits, gates, .. } = memory;
        let config = &self.engine.model.config;
        trace.resize::<I>(config, rules, inner_stride(config.hidden_dim), &scratch.sequences);
        logits.resize(scratch.sequences.len() * self.engine.model.head.outputs);
        self.pass(team).layers(scratch, Some(trace));
        gates.resize(scratch.first_tokens.len());
        self.pass(team).head(scratch, logits, Some(gates));
    }

    /// From the logits back to the tokens: their gradients, times the directions, become `relevance`.
    fn backward(
        &self,
        team: &Team,
        memory: &mut Memory<W>,
        (rules, kind): (Rules, Directions),
        gradient: impl Fn(usize, &[f32], &mut [f32]),
        relevance: &mut [f32],
    ) {
        let Memory { scratch, attention, trace, directions, logits, logit_gradients, gates, sums } =
            memory;
        let outputs = self.engine.model.head.outputs;
        logit_gradients.resize(logits.len());
        let each = logits.chunks_exact(outputs).zip(logit_gradients.chunks_exact_mut(outputs));
        for (row, (logits, gradients)) in each.enumerate() {
            gradient(row, logits, gradients);
        }
        let pass = BackwardPass {
            pass: self.pass(team),
            transposed: self.transposed(),
            rules,
            directions: kind,
        };
        pass.run(scratch, attention, trace, (logit_gradients, gates), sums);
        pass.relevance(scratch, trace, directions, relevance);
    }
}

impl<I: Isa, W: FloatWeight> Forward for Differentiable<I, W> {
    fn config(&self) -> &Config {
        self.engine.config()
    }

    fn forward(&self, batch: &TokenBatch, logits: &mut [f32]) -> Result<()> {
        self.engine.forward(batch, logits)
    }

    fn attribute(&self) -> Option<&dyn Attribute> {
        Some(self)
    }
}

/// The tokens of some rows.
fn tokens(batch: &TokenBatch, rows: &Range<usize>) -> Range<usize> {
    batch.row(rows.start).start..batch.row(rows.end - 1).end
}

impl<I: Isa, W: FloatWeight> Attribute for Differentiable<I, W> {
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
        self.run(|team, memory| {
            for rows in batch.parts(SUB_BATCH_TOKENS, usize::MAX) {
                let tokens = tokens(batch, &rows);
                let scratch = &mut memory.scratch;
                self.pass(team).prepare(scratch, rows.clone().map(|row| batch.row(row).len()));
                self.pass(team).embed(batch, tokens.clone(), &mut scratch.hidden);
                memory.directions.resize(scratch.hidden.len());
                memory.directions.copy_from_slice(&scratch.hidden);
                self.forward(team, memory, rules);
                for gate in memory.gates.iter_mut() {
                    *gate = if *gate > 0.0 { 1.0 } else { 0.0 };
                }
                self.backward(
                    team,
                    memory,
                    (rules, Directions::Embeddings),
                    |row, logits, gradients| gradient(rows.start + row, logits, gradients),
                    &mut attribution.relevance[tokens],
                );
                let logits = rows.start * outputs..rows.end * outputs;
                attribution.logits[logits].copy_from_slice(&memory.logits);
                memory.sums.of_rows(&memory.scratch.sequences, &mut attribution.shares[rows]);
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
        let dim = self.engine.model.config.dim;
        let mut totals = vec![0f64; batch.tokens()];
        let panels = Panel::all(steps);
        self.transposed();
        self.run(|team, memory| {
            let embeddings = |batch: &TokenBatch| {
                let mut hidden = AlignedVec::<f32>::zeroed(batch.tokens() * dim);
                self.pass(team).embed(batch, 0..batch.tokens(), &mut hidden);
                hidden
            };
            let (ends, starts) = (embeddings(batch), embeddings(baseline));
            // Each row once for each node of each panel, in this order, as many panels together as go.
            let mut parts = (0..batch.rows())
                .flat_map(|row| panels.iter().map(move |panel| (row, panel)))
                .peekable();
            let mut together: Vec<(usize, &Panel, usize)> = Vec::new();
            let mut relevance = Vec::new();
            while parts.peek().is_some() {
                let mut count = 0;
                together.clear();
                while let Some((row, panel)) = parts.next_if(|&(row, panel)| {
                    let tokens = batch.row(row).len() * panel.nodes().len();
                    count == 0 || count + tokens <= SUB_BATCH_TOKENS
                }) {
                    count += batch.row(row).len() * panel.nodes().len();
                    together.extend(panel.nodes().map(|node| (row, panel, node)));
                }
                let scratch = &mut memory.scratch;
                let lengths = together.iter().map(|&(row, ..)| batch.row(row).len());
                self.pass(team).prepare(scratch, lengths);
                memory.directions.resize(scratch.hidden.len());
                for (&(row, panel, node), sequence) in together.iter().zip(&scratch.sequences) {
                    let values = sequence.start * dim..sequence.end * dim;
                    let states = scratch.hidden[values.clone()].iter_mut();
                    let directions = memory.directions[values].iter_mut();
                    let row = batch.row(row);
                    let row = row.start * dim..row.end * dim;
                    let ways = starts[row.clone()].iter().zip(&ends[row]);
                    let position = panel.position(node) as f32;
                    for ((state, direction), (start, end)) in states.zip(directions).zip(ways) {
                        *direction = end - start;
                        *state = start + position * *direction;
                    }
                }
                relevance.resize(count, 0.0);
                self.forward(team, memory, Rules::GRADIENT);
                let mut rest = &mut memory.gates[..];
                for nodes in together.chunk_by(|_, &(.., node)| node > 0) {
                    let (gates, others) = rest.split_at_mut(nodes.len() * dim);
                    nodes[0].1.gates(gates);
                    rest = others;
                }
                self.backward(
                    team,
                    memory,
                    (Rules::GRADIENT, Directions::Others),
                    |step, logits, gradients| gradient(together[step].0, logits, gradients),
                    &mut relevance,
                );
                let found = together.iter().zip(&memory.scratch.sequences);
                for (&(row, panel, node), sequence) in found {
                    let found = &relevance[sequence.clone()];
                    for (total, &found) in totals[batch.row(row)].iter_mut().zip(found) {
                        *total += panel.weight(node) * f64::from(found);
                    }
                }
            }
        });
        totals.into_iter().map(|total| total as f32).collect()
    }

    fn attention_weights(&self, batch: &TokenBatch) -> Vec<Vec<f32>> {
        let mut weights = Vec::new();
        self.run(|team, memory| {
            for rows in batch.parts(SUB_BATCH_TOKENS, usize::MAX) {
                let scratch = &mut memory.scratch;
                self.pass(team).prepare(scratch, rows.clone().map(|row| batch.row(row).len()));
                self.pass(team).embed(batch, tokens(batch, &rows), &mut scratch.hidden);
                self.forward(team, memory, Rules::GRADIENT);
                let Memory { scratch, trace, .. } = memory;
                weights.extend(weights::of_rows(self.pass(team), scratch, trace));
            }
        });
        weights
    }
}
