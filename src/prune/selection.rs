//! Selection by what is left after the refit: a greedy optimal brain surgeon.
//!
//! If inputs of a linear layer are removed and the rest is refit, the squared error of its outputs, weighted by how much
//! the logits depend on them, grows by a known amount. The input, or the head of inputs, with the smallest growth goes
//! first; then the growths of the others are updated.

use super::linalg::Factor;
use crate::cpu::{Chunks, Leader};

/// Ridge of the inputs' covariance, in units of the mean of its diagonal.
const INPUT_RIDGE: f64 = 1e-2;

/// Ridge of the outputs' weights, in units of the mean of their diagonal.
const OUTPUT_RIDGE: f64 = 1e-6;

/// Columns that a task updates.
const TASK_COLUMNS: usize = 32;

/// Inputs in the order in which they go, and what the removal of each costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Order {
    pub items: Vec<usize>,
    pub losses: Vec<f64>,
}

impl Order {
    /// Returns the items that remain when `removed` are gone, ascending.
    pub fn kept(&self, removed: usize) -> Vec<usize> {
        let mut kept = self.items[removed..].to_vec();
        kept.sort_unstable();
        kept
    }
}

/// A linear layer whose inputs are ordered.
pub(super) struct Layer<'a> {
    /// `[outputs, inputs]`, row by row.
    pub weight: &'a [f32],
    pub outputs: usize,
    /// Covariance of the inputs.
    pub covariance: &'a [f64],
    /// Second moments of the outputs' gradients.
    pub sensitivity: &'a [f64],
}

impl Layer<'_> {
    fn inputs(&self) -> usize {
        self.weight.len() / self.outputs
    }

    /// Returns the inverse of the inputs' covariance and the weights in units of the logits, a column for each input;
    /// `None` if one of the matrices is singular.
    fn state(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let inverse = Factor::new(self.covariance, inputs, INPUT_RIDGE)?.inverse();
        let columns: Vec<f64> = (0..inputs)
            .flat_map(|input| {
                (0..outputs).map(move |output| f64::from(self.weight[output * inputs + input]))
            })
            .collect();
        let weights = Factor::new(self.sensitivity, outputs, OUTPUT_RIDGE)?.scale_columns(&columns);
        Some((inverse, weights))
    }

    /// Orders single inputs; `None` for singular statistics.
    pub fn order_inputs(&self, mut leader: Leader<'_>) -> Option<Order> {
        let (mut inverse, mut weights) = self.state()?;
        let (size, outputs) = (self.inputs(), self.outputs);
        let mut left: Vec<usize> = (0..size).collect();
        let mut lengths: Vec<f64> = weights.chunks_exact(outputs).map(squared_length).collect();
        let mut order = Order::default();
        while let Some(last) = left.len().checked_sub(1) {
            let loss = |at: usize| lengths[at] / inverse[at * size + at];
            let best = (0..=last).min_by(|&a, &b| loss(a).total_cmp(&loss(b))).unwrap_or(last);
            order.items.push(left[best]);
            order.losses.push(0.5 * loss(best));
            // The input takes the last place and leaves it.
            left.swap_remove(best);
            swap_columns(&mut inverse[..(last + 1) * size], size, best, last);
            inverse[..(last + 1) * size].chunks_exact_mut(size).for_each(|c| c.swap(best, last));
            swap_columns(&mut weights, outputs, best, last);
            let (inverse, removed) = inverse[..(last + 1) * size].split_at_mut(last * size);
            let (weights, removed_weights) =
                weights[..(last + 1) * outputs].split_at_mut(last * outputs);
            lengths.truncate(last);
            let parts = (
                Chunks::new(inverse, size * TASK_COLUMNS),
                Chunks::new(weights, outputs * TASK_COLUMNS),
                Chunks::new(&mut lengths, TASK_COLUMNS),
            );
            leader.for_each(parts, |task, (inverse, weights, lengths)| {
                let columns = inverse.chunks_exact_mut(size).zip(weights.chunks_exact_mut(outputs));
                for (at, ((inverse, weights), length)) in columns.zip(lengths).enumerate() {
                    let factor = removed[task * TASK_COLUMNS + at] / removed[last];
                    subtract(&mut inverse[..last], &removed[..last], factor);
                    subtract(weights, removed_weights, factor);
                    *length = squared_length(weights);
                }
            });
        }
        Some(order)
    }

    /// Orders heads of `size` inputs each; `None` for singular statistics.
    pub fn order_heads(&self, size: usize) -> Option<Order> {
        let (mut inverse, mut weights) = self.state()?;
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let mut left: Vec<usize> = (0..inputs / size).collect();
        let mut order = Order::default();
        while !left.is_empty() {
            let mut best: Option<(f64, usize, Vec<f64>)> = None;
            for (at, &head) in left.iter().enumerate() {
                let own = own_inverse(&inverse, inputs, head * size..(head + 1) * size)?;
                let columns = &weights[head * size * outputs..(head + 1) * size * outputs];
                let loss = 0.5 * weighted_trace(columns, outputs, &own, size);
                if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                    best = Some((loss, at, own));
                }
            }
            let (loss, at, own) = best?;
            let head = left.remove(at);
            order.items.push(head);
            order.losses.push(loss);
            let place = head * size..(head + 1) * size;
            remove_head((&mut inverse, inputs), (&mut weights, outputs), place, &own);
        }
        Some(order)
    }
}

fn squared_length(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

fn subtract(values: &mut [f64], others: &[f64], factor: f64) {
    values.iter_mut().zip(others).for_each(|(value, other)| *value -= factor * other);
}

fn swap_columns(values: &mut [f64], rows: usize, a: usize, b: usize) {
    if a != b {
        let (before, after) = values.split_at_mut(a.max(b) * rows);
        before[a.min(b) * rows..][..rows].swap_with_slice(&mut after[..rows]);
    }
}

/// Returns the inverse of a block on the diagonal of the inverse covariance.
fn own_inverse(inverse: &[f64], inputs: usize, place: std::ops::Range<usize>) -> Option<Vec<f64>> {
    let block = place
        .clone()
        .flat_map(|column| place.clone().map(move |row| inverse[column * inputs + row]));
    Some(Factor::new(&block.collect::<Vec<f64>>(), place.len(), 0.0)?.inverse())
}

/// Returns the trace of `columns · matrix · columnsᵀ`.
fn weighted_trace(columns: &[f64], rows: usize, matrix: &[f64], size: usize) -> f64 {
    let column = |at: usize| &columns[at * rows..(at + 1) * rows];
    let dot = |a: usize, b: usize| column(a).iter().zip(column(b)).map(|(a, b)| a * b).sum::<f64>();
    (0..size)
        .flat_map(|a| (0..size).map(move |b| (a, b)))
        .map(|(a, b)| matrix[a * size + b] * dot(a, b))
        .sum()
}

/// Updates the inverse covariance and the weights after a head was removed.
fn remove_head(
    (inverse, inputs): (&mut [f64], usize),
    (weights, outputs): (&mut [f64], usize),
    place: std::ops::Range<usize>,
    own: &[f64],
) {
    let size = place.len();
    let removed = inverse[place.start * inputs..place.end * inputs].to_vec();
    let removed_weights = weights[place.start * outputs..place.end * outputs].to_vec();
    for column in 0..inputs {
        let across: Vec<f64> = (0..size).map(|at| removed[at * inputs + column]).collect();
        for at in 0..size {
            let own = &own[at * size..(at + 1) * size];
            let factor: f64 = own.iter().zip(&across).map(|(a, b)| a * b).sum();
            let inverse = &mut inverse[column * inputs..][..inputs];
            subtract(inverse, &removed[at * inputs..][..inputs], factor);
            let weights = &mut weights[column * outputs..][..outputs];
            subtract(weights, &removed_weights[at * outputs..][..outputs], factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::linalg::product;
    use super::*;
    use crate::cpu::Threads;
    use crate::testing::random;

    const OUTPUTS: usize = 5;

    /// Returns `A Aᵀ` for a random matrix.
    fn positive(seed: u64, size: usize) -> Vec<f64> {
        let a: Vec<f64> = random(seed, size * size).iter().map(|&value| value.into()).collect();
        let transposed: Vec<f64> =
            (0..size * size).map(|at| a[at % size * size + at / size]).collect();
        product((&a, size), (&transposed, size))
    }

    struct Case {
        weight: Vec<f32>,
        covariance: Vec<f64>,
        sensitivity: Vec<f64>,
    }

    impl Case {
        fn new(inputs: usize) -> Self {
            Self {
                weight: random(1, OUTPUTS * inputs),
                covariance: positive(2, inputs),
                sensitivity: positive(3, OUTPUTS),
            }
        }

        fn layer(&self) -> Layer<'_> {
            let Self { weight, covariance, sensitivity } = self;
            Layer { weight, outputs: OUTPUTS, covariance, sensitivity }
        }

        /// Returns half the weighted squared error that removing inputs leaves after the best refit of the others.
        fn loss(&self, removed: &[usize]) -> f64 {
            let inputs = self.weight.len() / OUTPUTS;
            let covariance = with_ridge(&self.covariance, inputs, INPUT_RIDGE);
            let sensitivity = with_ridge(&self.sensitivity, OUTPUTS, OUTPUT_RIDGE);
            let kept: Vec<usize> = (0..inputs).filter(|input| !removed.contains(input)).collect();
            let part = |rows: &[usize], columns: &[usize]| -> Vec<f64> {
                let of_column = |&column: &usize| {
                    rows.iter().map(|&row| covariance[column * inputs + row]).collect::<Vec<_>>()
                };
                columns.iter().flat_map(of_column).collect()
            };
            // The covariance of the removed inputs, given those that are kept.
            let mut rest = part(removed, removed);
            if !kept.is_empty() {
                let factor = Factor::new(&part(&kept, &kept), kept.len(), 0.0).unwrap();
                let predicted = factor.solve(&part(&kept, removed));
                let explained =
                    product((&part(removed, &kept), removed.len()), (&predicted, kept.len()));
                rest.iter_mut().zip(explained).for_each(|(value, part)| *value -= part);
            }
            let mut loss = 0.0;
            for (a, &left) in removed.iter().enumerate() {
                for (b, &right) in removed.iter().enumerate() {
                    for i in 0..OUTPUTS {
                        for j in 0..OUTPUTS {
                            let weights = f64::from(self.weight[i * inputs + left])
                                * f64::from(self.weight[j * inputs + right]);
                            let weight = sensitivity[i * OUTPUTS + j] * weights;
                            loss += 0.5 * weight * rest[a * removed.len() + b];
                        }
                    }
                }
            }
            loss
        }
    }

    fn with_ridge(matrix: &[f64], size: usize, ridge: f64) -> Vec<f64> {
        let mean = (0..size).map(|at| matrix[at * size + at]).sum::<f64>() / size as f64;
        let diagonal = |at: usize| if at / size == at % size { ridge * mean } else { 0.0 };
        matrix.iter().enumerate().map(|(at, value)| value + diagonal(at)).collect()
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-8 * expected.abs().max(1.0), "{found} {expected}");
    }

    #[test]
    fn losses_are_those_of_the_best_refit() {
        for inputs in [1, 2, 11, 40] {
            let case = Case::new(inputs);
            let order = Threads::CALLER.run(|leader| case.layer().order_inputs(leader)).unwrap();
            let mut sum = 0.0;
            for (at, loss) in order.losses.iter().enumerate() {
                sum += loss;
                assert_close(sum, case.loss(&order.items[..=at]));
            }
            for input in 0..inputs {
                assert!(order.losses[0] <= case.loss(&[input]) + 1e-9);
            }
            assert_eq!(order.kept(0), (0..inputs).collect::<Vec<_>>());
        }
    }

    #[test]
    fn heads_are_ordered_as_wholes() {
        let case = Case::new(24);
        let order = case.layer().order_heads(6).unwrap();
        let values = |heads: &[usize]| -> Vec<usize> {
            heads.iter().flat_map(|head| head * 6..(head + 1) * 6).collect()
        };
        let mut sum = 0.0;
        for (at, loss) in order.losses.iter().enumerate() {
            sum += loss;
            assert_close(sum, case.loss(&values(&order.items[..=at])));
        }
        for head in 0..4 {
            assert!(order.losses[0] <= case.loss(&values(&[head])) + 1e-9);
        }
    }

    #[test]
    fn order_does_not_depend_on_threads() {
        let case = Case::new(100);
        let order = |threads| {
            let threads = Threads::new(threads).unwrap();
            threads.run(|leader| case.layer().order_inputs(leader)).unwrap()
        };
        assert_eq!(order(1), order(3));
    }

    #[test]
    fn constant_inputs_are_singular() {
        let case = Case { covariance: vec![0.0; 16], ..Case::new(4) };
        assert!(case.layer().order_heads(2).is_none());
    }
}
