//! [`March`]: the cut and the refit of one layer after the other.

use std::ops::Range;

use super::Pruner;
use super::moments::Moments;
use super::refit::refit;
use super::weights::Kept;
use crate::cpu::Rows;
use crate::cpu::layers::{DenseLayer, LayerActivations, LayerWeights};
use crate::error::{PruneError, Result};
use crate::input::batch::{SubBatch, TokenBatch};

/// The original model (the teacher) and the pruned one (the student), before the next layer.
pub(super) struct March<'a> {
    pruner: &'a Pruner,
    parts: [Part<'a>; 2],
    layers: Vec<DenseLayer>,
    /// `true` if the student's states differ from the teacher's.
    differs: bool,
}

/// Calibration texts, and the states of both models for them.
struct Part<'a> {
    texts: &'a TokenBatch,
    teacher: Vec<f32>,
    student: Vec<f32>,
    /// The teacher's sums before the norm of the current layer's feed-forward network.
    sums: Vec<f32>,
}

/// A linear layer that is refit.
#[derive(Clone, Copy, PartialEq)]
enum Matrix {
    AttentionOutput,
    FeedForwardOut,
}

impl Matrix {
    fn name(self) -> &'static str {
        match self {
            Self::AttentionOutput => "attention.out_lin",
            Self::FeedForwardOut => "ffn.lin2",
        }
    }

    /// Returns what the matrix reads, and the sums to which it adds.
    fn of(self, found: LayerActivations<'_>) -> (Rows<'_>, &[f32]) {
        match self {
            Self::AttentionOutput => (found.context, found.attention_sums),
            Self::FeedForwardOut => (found.inner, found.feed_forward_sums),
        }
    }
}

impl<'a> March<'a> {
    pub fn new(pruner: &'a Pruner) -> Self {
        let parts = [0, 1].map(|part| {
            let texts = &pruner.parts[part];
            let states = pruner.runner.lead(|leader| pruner.runner.embed(leader, texts));
            Part { texts, teacher: states.clone(), student: states, sums: Vec::new() }
        });
        Self { pruner, parts, layers: Vec::new(), differs: false }
    }

    /// Returns the student's layers.
    pub fn finish(self) -> Vec<DenseLayer> {
        self.layers
    }

    /// Cuts and refits the next layer.
    pub fn layer(&mut self, index: usize, kept: &Kept) -> Result<()> {
        let Pruner { layers, config, .. } = self.pruner;
        let original = &layers[index];
        let mut student = kept.slice(original, config.head_size());
        self.differs |=
            kept.heads.len() * config.head_size() < original.attention_output.weight.inputs;
        let moments = self.run_teacher(index, &student)?;
        if self.differs {
            self.apply(index, &mut student, Matrix::AttentionOutput, moments)?;
        }
        self.differs |= kept.neurons.len() < original.feed_forward_out.weight.inputs;
        if self.differs {
            let moments = self.compare(index, &student)?;
            self.apply(index, &mut student, Matrix::FeedForwardOut, moments)?;
        }
        self.advance(index, &student)?;
        self.layers.push(student);
        Ok(())
    }

    /// Runs the teacher's layer, keeps its states and sums, and returns moments of what the student's attention lacks.
    fn run_teacher(&mut self, index: usize, student: &DenseLayer) -> Result<[Moments; 2]> {
        let Self { pruner, parts, differs, .. } = self;
        let (dim, is_last) = (pruner.config.dim, index + 1 == pruner.layers.len());
        let runner = &pruner.runner;
        let packed = runner.lead(|leader| runner.pack(leader, student))?;
        let mut all = [(); 2].map(|()| Moments::new(student.attention_output.weight.inputs, dim));
        for (part, moments) in parts.iter_mut().zip(&mut all) {
            let Part { texts, teacher, student, sums } = part;
            sums.resize(if is_last { texts.rows() } else { texts.tokens() } * dim, 0.0);
            let mut residual = Vec::new();
            pruner.each_sub_batch(texts, |mut leader, sub, memory| {
                let (input, output) = (tokens(sub, dim), outputs(sub, is_last, dim));
                let own = (index, LayerWeights::Own);
                let states = (sub, &teacher[input.clone()]);
                let found = runner.run(leader.reborrow(), own, states, memory);
                sums[output].copy_from_slice(found.feed_forward_sums);
                residual.clear();
                residual.extend_from_slice(found.attention_sums);
                if !is_last {
                    teacher[input.clone()].copy_from_slice(found.states);
                }
                if *differs {
                    let other = (index, LayerWeights::Other(&packed));
                    let states = (sub, &student[input]);
                    let found = runner.run(leader.reborrow(), other, states, memory);
                    let (inputs, sums) = Matrix::AttentionOutput.of(found);
                    subtract(&mut residual, sums);
                    moments.add(leader, inputs, rows(&residual, dim));
                }
            });
        }
        Ok(all)
    }

    /// Runs the student's layer, and returns moments of what its feed-forward network lacks.
    fn compare(&self, index: usize, student: &DenseLayer) -> Result<[Moments; 2]> {
        let Self { pruner, parts, .. } = self;
        let (dim, is_last) = (pruner.config.dim, index + 1 == pruner.layers.len());
        let runner = &pruner.runner;
        let packed = runner.lead(|leader| runner.pack(leader, student))?;
        let mut all = [(); 2].map(|()| Moments::new(student.feed_forward_out.weight.inputs, dim));
        for (Part { texts, student, sums, .. }, moments) in parts.iter().zip(&mut all) {
            let mut residual = Vec::new();
            pruner.each_sub_batch(texts, |mut leader, sub, memory| {
                let other = (index, LayerWeights::Other(&packed));
                let states = (sub, &student[tokens(sub, dim)]);
                let found = runner.run(leader.reborrow(), other, states, memory);
                let (inputs, student_sums) = Matrix::FeedForwardOut.of(found);
                residual.clear();
                residual.extend_from_slice(&sums[outputs(sub, is_last, dim)]);
                subtract(&mut residual, student_sums);
                moments.add(leader, inputs, rows(&residual, dim));
            });
        }
        Ok(all)
    }

    /// Refits one of the layer's matrices.
    fn apply(
        &self,
        index: usize,
        student: &mut DenseLayer,
        matrix: Matrix,
        [fit, held]: [Moments; 2],
    ) -> Result<()> {
        let rounding = self.pruner.rounding();
        let singular = PruneError::SingularStatistics { layer: index, matrix: matrix.name() };
        let change = refit(fit, &held).ok_or(singular)?;
        let linear = match matrix {
            Matrix::AttentionOutput => &mut student.attention_output,
            Matrix::FeedForwardOut => &mut student.feed_forward_out,
        };
        change.apply(linear, |value| rounding.round(value));
        Ok(())
    }

    /// Moves the student's states past the layer.
    fn advance(&mut self, index: usize, student: &DenseLayer) -> Result<()> {
        let Self { pruner, parts, differs, .. } = self;
        let dim = pruner.config.dim;
        if index + 1 == pruner.layers.len() {
            return Ok(());
        }
        let runner = &pruner.runner;
        let packed = runner.lead(|leader| runner.pack(leader, student))?;
        for Part { texts, teacher, student, .. } in parts {
            if !*differs {
                student.copy_from_slice(teacher);
                continue;
            }
            pruner.each_sub_batch(texts, |leader, sub, memory| {
                let place = tokens(sub, dim);
                let other = (index, LayerWeights::Other(&packed));
                let found = runner.run(leader, other, (sub, &student[place.clone()]), memory);
                student[place].copy_from_slice(found.states);
            });
        }
        Ok(())
    }
}

/// Returns the place of a sub-batch's states among those of its batch.
fn tokens(sub: &SubBatch<'_>, dim: usize) -> Range<usize> {
    sub.tokens.start * dim..sub.tokens.end * dim
}

/// Returns the place of a sub-batch's sums.
fn outputs(sub: &SubBatch<'_>, is_last: bool, dim: usize) -> Range<usize> {
    let place = if is_last { &sub.rows } else { &sub.tokens };
    place.start * dim..place.end * dim
}

fn rows(values: &[f32], dim: usize) -> Rows<'_> {
    Rows { values, stride: dim, count: values.len() / dim }
}

fn subtract(values: &mut [f32], others: &[f32]) {
    values.iter_mut().zip(others).for_each(|(value, other)| *value -= other);
}
