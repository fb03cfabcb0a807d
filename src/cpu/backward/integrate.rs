//! Integrated gradients.

use std::iter::Peekable;

use super::pass::Directions;
use super::quadrature::Panel;
use super::{Differentiable, Memory, SUB_BATCH_TOKENS};
use crate::attribution::{LogitGradient, Rules};
use crate::cpu::forward::Pass;
use crate::cpu::gemm::weight::FloatWeight;
use crate::cpu::memory::aligned::AlignedVec;
use crate::cpu::ops::embeddings::embed;
use crate::input::batch::TokenBatch;

/// A row at one node of a panel.
struct Node<'a> {
    row: usize,
    panel: &'a Panel,
    node: usize,
}

/// Embeddings of texts and of their baselines, `[tokens, dim]`.
struct Path {
    starts: AlignedVec,
    ends: AlignedVec,
}

impl<W: FloatWeight> Differentiable<W> {
    /// Returns each token's step from the baseline's embedding times the gradient, integrated over `steps` nodes.
    pub(super) fn integrated_gradients(
        &self,
        (batch, baseline): (&TokenBatch, &TokenBatch),
        steps: usize,
        gradient: LogitGradient<'_>,
    ) -> Vec<f32> {
        let mut totals = vec![0f64; batch.tokens()];
        let panels = Panel::all(steps);
        self.transposed();
        self.with_memory(|leader, memory| {
            let mut pass = self.pass(leader);
            let path = Path {
                ends: embeddings(&mut pass, batch),
                starts: embeddings(&mut pass, baseline),
            };
            // Each row is computed once for each node of each panel, in this order, with as many panels together as
            // fit.
            let mut parts = (0..batch.rows())
                .flat_map(|row| panels.iter().map(move |panel| (row, panel)))
                .peekable();
            let mut nodes: Vec<Node<'_>> = Vec::new();
            let mut relevance = Vec::new();
            while parts.peek().is_some() {
                let tokens = next_nodes(&mut parts, batch, &mut nodes);
                self.place(batch, &nodes, &path, memory);
                relevance.resize(tokens, 0.0);
                self.forward(&mut pass, memory, Rules::GRADIENT);
                open_gates(&nodes, self.engine.model.config.dim, &mut memory.gates);
                self.backward(
                    &mut pass,
                    memory,
                    (Rules::GRADIENT, Directions::Others),
                    |index, logits, gradients| gradient(nodes[index].row, logits, gradients),
                    &mut relevance,
                );
                for (node, sequence) in nodes.iter().zip(memory.workspace.sequences.iter()) {
                    let weight = node.panel.weight(node.node);
                    let found = &relevance[sequence];
                    for (total, &found) in totals[batch.row(node.row)].iter_mut().zip(found) {
                        *total += weight * f64::from(found);
                    }
                }
            }
        });
        totals.into_iter().map(|total| total as f32).collect()
    }

    /// Writes the states at the nodes to `hidden`, and the steps from baseline to text to `directions`.
    fn place(
        &self,
        batch: &TokenBatch,
        nodes: &[Node<'_>],
        Path { starts, ends }: &Path,
        memory: &mut Memory<W>,
    ) {
        let config = &self.engine.model.config;
        let dim = config.dim;
        let Memory { workspace, directions, .. } = memory;
        workspace.set_sequences(config, nodes.iter().map(|node| batch.row(node.row).len()));
        directions.resize(workspace.hidden.len());
        for (node, sequence) in nodes.iter().zip(workspace.sequences.iter()) {
            let values = sequence.start * dim..sequence.end * dim;
            let states = workspace.hidden[values.clone()].iter_mut();
            let directions = directions[values].iter_mut();
            let row = batch.row(node.row);
            let row = row.start * dim..row.end * dim;
            let ways = starts[row.clone()].iter().zip(&ends[row]);
            let position = node.panel.position(node.node) as f32;
            for ((state, direction), (start, end)) in states.zip(directions).zip(ways) {
                *direction = end - start;
                *state = start + position * *direction;
            }
        }
    }
}

/// Returns the embeddings of a batch.
fn embeddings<W: FloatWeight>(pass: &mut Pass<'_, W>, batch: &TokenBatch) -> AlignedVec {
    let dim = pass.model.config.dim;
    let mut hidden = AlignedVec::<f32>::zeroed(batch.tokens() * dim);
    let batch = batch.as_sub_batch();
    embed(&mut pass.executor, &pass.model.embeddings, &batch, &mut hidden);
    hidden
}

/// Takes the next panels that fit into one pass through the layers. Returns the number of their tokens.
fn next_nodes<'a>(
    parts: &mut Peekable<impl Iterator<Item = (usize, &'a Panel)>>,
    batch: &TokenBatch,
    nodes: &mut Vec<Node<'a>>,
) -> usize {
    let mut count = 0;
    nodes.clear();
    let tokens = |row: usize, panel: &Panel| batch.row(row).len() * panel.nodes().len();
    while let Some((row, panel)) =
        parts.next_if(|&(row, panel)| count == 0 || count + tokens(row, panel) <= SUB_BATCH_TOKENS)
    {
        count += tokens(row, panel);
        nodes.extend(panel.nodes().map(|node| Node { row, panel, node }));
    }
    count
}

/// Replaces the inputs of the head's ReLU with the fraction of a gradient that it passes, panel by panel.
fn open_gates(nodes: &[Node<'_>], dim: usize, mut gates: &mut [f32]) {
    for nodes in nodes.chunk_by(|_, next| next.node > 0) {
        let (of_panel, others) = gates.split_at_mut(nodes.len() * dim);
        nodes[0].panel.gates(of_panel);
        gates = others;
    }
}
