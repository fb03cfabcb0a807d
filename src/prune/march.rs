//! [`March`]: the cut and the refit of one layer after the other.

use std::ops::Range;

use super::Pruner;
use super::moments::Moments;
use super::refit::refit;
use super::weights::Kept;
use crate::cpu::Rows;
use crate::cpu::layers::{DenseLayer, DenseMatrix, LayerWeights};
use crate::error::{PruneError, Result};
use crate::input::batch::{SubBatch, TokenBatch};
use crate::model::weights::Linear;

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
    /// The teacher's states between attention and the feed-forward network of the current layer.
    middle: Vec<f32>,
    /// The teacher's sums before the norm of the current layer's feed-forward network.
    sums: Vec<f32>,
}

/// Linear layers that are refit, in the order of the computation.
#[derive(Clone, Copy, PartialEq)]
enum Matrix {
    QueryKeyValue,
    AttentionOutput,
    FeedForwardIn,
    FeedForwardOut,
}

impl Matrix {
    fn name(self) -> &'static str {
        match self {
            Self::QueryKeyValue => "attention.q_lin",
            Self::AttentionOutput => "attention.out_lin",
            Self::FeedForwardIn => "ffn.lin1",
            Self::FeedForwardOut => "ffn.lin2",
        }
    }

    fn of(self, layer: &mut DenseLayer) -> &mut Linear<DenseMatrix> {
        match self {
            Self::QueryKeyValue => &mut layer.query_key_value,
            Self::AttentionOutput => &mut layer.attention_output,
            Self::FeedForwardIn => &mut layer.feed_forward_in,
            Self::FeedForwardOut => &mut layer.feed_forward_out,
        }
    }

    /// Returns `true` if moments are those of the matrix's inputs and what they lack, not of what the sums lack.
    fn corrects_inputs(self) -> bool {
        matches!(self, Self::QueryKeyValue | Self::FeedForwardIn)
    }
}

impl<'a> March<'a> {
    pub fn new(pruner: &'a Pruner) -> Self {
        let parts = [0, 1].map(|part| {
            let texts = &pruner.parts[part];
            let states = pruner.runner.lead(|leader| pruner.runner.embed(leader, texts));
            let (middle, sums) = (Vec::new(), Vec::new());
            Part { texts, teacher: states.clone(), student: states, middle, sums }
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
        if self.differs {
            let moments = self.compare_states();
            self.apply(index, &mut student, Matrix::QueryKeyValue, moments)?;
        }
        self.differs |=
            kept.heads.len() * config.head_size() < original.attention_output.weight.inputs;
        let moments = self.run_teacher(index, &student)?;
        if self.differs {
            self.apply(index, &mut student, Matrix::AttentionOutput, moments)?;
            let moments = self.compare(index, &student, Matrix::FeedForwardIn)?;
            self.apply(index, &mut student, Matrix::FeedForwardIn, moments)?;
        }
        self.differs |= kept.neurons.len() < original.feed_forward_out.weight.inputs;
        if self.differs {
            let moments = self.compare(index, &student, Matrix::FeedForwardOut)?;
            self.apply(index, &mut student, Matrix::FeedForwardOut, moments)?;
        }
        self.advance(index, &student)?;
        self.layers.push(student);
        Ok(())
    }

    /// Returns moments of what the student's states lack.
    fn compare_states(&self) -> [Moments; 2] {
        let dim = self.pruner.config.dim;
        let mut all = [(); 2].map(|()| Moments::new(dim, dim));
        for (Part { texts, teacher, student, .. }, moments) in self.parts.iter().zip(&mut all) {
            let mut residual = Vec::new();
            self.pruner.each_sub_batch(texts, |leader, sub, _| {
                let place = tokens(sub, dim);
                let states = &student[place.clone()];
                write_difference(&mut residual, &teacher[place], states);
                moments.add(leader, rows(states, dim), rows(&residual, dim));
            });
        }
        all
    }

    /// Runs the teacher's layer, keeps its states and sums, and returns moments of what the student's attention lacks.
    fn run_teacher(&mut self, index: usize, student: &DenseLayer) -> Result<[Moments; 2]> {
        let Self { pruner, parts, differs, .. } = self;
        let (dim, is_last) = (pruner.config.dim, index + 1 == pruner.layers.len());
        let runner = &pruner.runner;
        let packed = runner.lead(|leader| runner.pack(leader, student))?;
        let mut all = [(); 2].map(|()| Moments::new(student.attention_output.weight.inputs, dim));
        for (part, moments) in parts.iter_mut().zip(&mut all) {
            let Part { texts, teacher, student: states, middle, sums } = part;
            let len = if is_last { texts.rows() } else { texts.tokens() } * dim;
            middle.resize(len, 0.0);
            sums.resize(len, 0.0);
            let mut residual = Vec::new();
            pruner.each_sub_batch(texts, |mut leader, sub, memory| {
                let (input, output) = (tokens(sub, dim), outputs(sub, is_last, dim));
                let own = (index, LayerWeights::Own);
                let input_states = (sub, &teacher[input.clone()]);
                let found = runner.run(leader.reborrow(), own, input_states, memory);
                sums[output.clone()].copy_from_slice(found.feed_forward_sums);
                let middle = &mut middle[output];
                middle.copy_from_slice(found.attention_sums);
                if !is_last {
                    teacher[input.clone()].copy_from_slice(found.states);
                }
                if *differs {
                    let other = (index, LayerWeights::Other(&packed));
                    let input_states = (sub, &states[input]);
                    let found = runner.run(leader.reborrow(), other, input_states, memory);
                    write_difference(&mut residual, middle, found.attention_sums);
                    moments.add(leader.reborrow(), found.context, rows(&residual, dim));
                }
                runner.normalize(leader, &student.attention_norm, middle);
            });
        }
        Ok(all)
    }

    /// Runs the student's layer, and returns moments of what its feed-forward network lacks: the inputs of the first
    /// matrix, or the sums after the second one.
    fn compare(&self, index: usize, student: &DenseLayer, matrix: Matrix) -> Result<[Moments; 2]> {
        let Self { pruner, parts, .. } = self;
        let (dim, is_last) = (pruner.config.dim, index + 1 == pruner.layers.len());
        let runner = &pruner.runner;
        let packed = runner.lead(|leader| runner.pack(leader, student))?;
        let inputs = match matrix.corrects_inputs() {
            true => dim,
            false => student.feed_forward_out.weight.inputs,
        };
        let mut all = [(); 2].map(|()| Moments::new(inputs, dim));
        for (part, moments) in parts.iter().zip(&mut all) {
            let (mut middle, mut residual) = (Vec::new(), Vec::new());
            pruner.each_sub_batch(part.texts, |mut leader, sub, memory| {
                let place = outputs(sub, is_last, dim);
                let other = (index, LayerWeights::Other(&packed));
                let states = (sub, &part.student[tokens(sub, dim)]);
                let found = runner.run(leader.reborrow(), other, states, memory);
                if matrix.corrects_inputs() {
                    middle.clear();
                    middle.extend_from_slice(found.attention_sums);
                    runner.normalize(leader.reborrow(), &student.attention_norm, &mut middle);
                    write_difference(&mut residual, &part.middle[place], &middle);
                    moments.add(leader, rows(&middle, dim), rows(&residual, dim));
                } else {
                    write_difference(&mut residual, &part.sums[place], found.feed_forward_sums);
                    moments.add(leader, found.inner, rows(&residual, dim));
                }
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
        let linear = matrix.of(student);
        let mut change = refit(fit, &held).ok_or(singular)?;
        if matrix.corrects_inputs() {
            change = change.folded_into(linear);
        }
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

/// Writes `values` less `others`.
fn write_difference(to: &mut Vec<f32>, values: &[f32], others: &[f32]) {
    to.clear();
    to.extend(values.iter().zip(others).map(|(value, other)| value - other));
}
