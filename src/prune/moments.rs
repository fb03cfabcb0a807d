//! [`Moments`]: second moments of a linear layer's inputs and of what its outputs lack.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::cpu::{Chunks, Leader, Rows};

/// Columns of a task. Products of 1024 rows by this many columns stay in L2.
const TASK_COLUMNS: usize = 64;

/// Sums over rows `x` of inputs and `r` of outputs: counts, means, `x xᵀ`, `x rᵀ` and `r · r`, all in `f64`.
///
/// Sums are added in the order of the rows, so they do not depend on the number of threads.
pub(super) struct Moments {
    pub inputs: usize,
    pub outputs: usize,
    count: usize,
    input_sums: Vec<f64>,
    output_sums: Vec<f64>,
    /// `[inputs, inputs]` by columns. Only the lower triangle, and what is above it in a task's columns, is summed.
    input_products: Vec<f64>,
    /// `[inputs, outputs]` by columns.
    cross_products: Vec<f64>,
    output_squares: f64,
    scratch: [Vec<f64>; 2],
}

/// Moments about given means, divided by the number of rows. Matrices are stored by columns.
pub(super) struct Central {
    pub input_means: Vec<f64>,
    pub output_means: Vec<f64>,
    /// `[inputs, inputs]`, symmetric.
    pub inputs: Vec<f64>,
    /// `[inputs, outputs]`
    pub cross: Vec<f64>,
    /// Mean of the squared length of `r`.
    pub output_squares: f64,
}

impl Moments {
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            count: 0,
            input_sums: vec![0.0; inputs],
            output_sums: vec![0.0; outputs],
            input_products: vec![0.0; inputs * inputs],
            cross_products: vec![0.0; inputs * outputs],
            output_squares: 0.0,
            scratch: [Vec::new(), Vec::new()],
        }
    }

    /// Returns the number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds rows of inputs, and as many of outputs.
    pub fn add(&mut self, mut leader: Leader<'_>, inputs: Rows<'_>, outputs: Rows<'_>) {
        let Self { scratch: [x, r], .. } = self;
        widen(inputs, self.inputs, &mut self.input_sums, x);
        widen(outputs, self.outputs, &mut self.output_sums, r);
        self.count += inputs.count;
        self.output_squares += r.iter().map(|value| value * value).sum::<f64>();
        let (len, x, r) = (inputs.count, &x[..], &r[..]);
        let (width, height) = (self.inputs, self.outputs);
        let chunks = Chunks::new(&mut self.input_products, width * TASK_COLUMNS);
        leader.for_each(chunks, |task, sums| {
            add_products(sums, (x, width, task * TASK_COLUMNS), (x, width, task), len);
        });
        if height > 0 {
            let chunks = Chunks::new(&mut self.cross_products, width * TASK_COLUMNS);
            leader.for_each(chunks, |task, sums| {
                add_products(sums, (x, width, 0), (r, height, task), len);
            });
        }
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, other: &Self) {
        let add = |sums: &mut [f64], other: &[f64]| {
            sums.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        };
        self.count += other.count;
        self.output_squares += other.output_squares;
        add(&mut self.input_sums, &other.input_sums);
        add(&mut self.output_sums, &other.output_sums);
        add(&mut self.input_products, &other.input_products);
        add(&mut self.cross_products, &other.cross_products);
    }

    /// Returns the moments about the rows' own means.
    pub fn central(&self) -> Central {
        let scale = 1.0 / self.count as f64;
        let mean = |sums: &[f64]| sums.iter().map(|sum| sum * scale).collect::<Vec<f64>>();
        self.about(mean(&self.input_sums), mean(&self.output_sums))
    }

    /// Returns the moments about other means.
    pub fn about(&self, input_means: Vec<f64>, output_means: Vec<f64>) -> Central {
        let scale = 1.0 / self.count as f64;
        let central = |product: f64, [x, y]: [f64; 2], [mean_x, mean_y]: [f64; 2]| {
            product * scale - x * scale * mean_y - mean_x * y * scale + mean_x * mean_y
        };
        let width = self.inputs;
        let mut inputs = vec![0.0; width * width];
        for column in 0..width {
            for row in column..width {
                let sums = [self.input_sums[row], self.input_sums[column]];
                let means = [input_means[row], input_means[column]];
                let value = central(self.input_products[column * width + row], sums, means);
                inputs[column * width + row] = value;
                inputs[row * width + column] = value;
            }
        }
        let mut cross = self.cross_products.clone();
        for (output, column) in cross.chunks_exact_mut(width.max(1)).enumerate() {
            for (input, value) in column.iter_mut().enumerate() {
                let sums = [self.input_sums[input], self.output_sums[output]];
                *value = central(*value, sums, [input_means[input], output_means[output]]);
            }
        }
        let mut output_squares = self.output_squares * scale;
        for (sum, mean) in self.output_sums.iter().zip(&output_means) {
            output_squares += mean * mean - 2.0 * mean * sum * scale;
        }
        Central { input_means, output_means, inputs, cross, output_squares }
    }
}

/// Writes rows of `width` values without gaps in `f64`, and adds them to `sums`.
fn widen(rows: Rows<'_>, width: usize, sums: &mut [f64], to: &mut Vec<f64>) {
    to.clear();
    for row in 0..rows.count {
        let row = rows.columns(row, 0..width);
        to.extend(row.iter().map(|&value| f64::from(value)));
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
}

/// Adds to some columns of sums, those of a task, the products of columns of `a`, from one on, and of `b`. Both have
/// `len` rows without gaps.
fn add_products(
    sums: &mut [f64],
    (a, a_width, first): (&[f64], usize, usize),
    (b, b_width, task): (&[f64], usize, usize),
    len: usize,
) {
    let columns = sums.len() / a_width;
    let a = MatRef::from_row_major_slice(a, len, a_width).subcols(first, a_width - first);
    let b = MatRef::from_row_major_slice(b, len, b_width).subcols(task * TASK_COLUMNS, columns);
    let sums = MatMut::from_column_major_slice_mut(sums, a_width, columns);
    let sums = sums.subrows_mut(first, a_width - first);
    matmul(sums, Accum::Add, a.transpose(), b, 1.0, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Threads;
    use crate::testing::random;

    fn rows(values: &[f32], stride: usize) -> Rows<'_> {
        Rows { values, stride, count: values.len() / stride }
    }

    fn moments(threads: usize, parts: &[usize]) -> Moments {
        let (x, r) = (random(1, 150 * 71), random(2, 150 * 5));
        let mut moments = Moments::new(70, 5);
        Threads::new(threads).unwrap().run(|mut leader| {
            let mut start = 0;
            for &len in parts {
                let x = rows(&x[start * 71..(start + len) * 71], 71);
                let r = rows(&r[start * 5..(start + len) * 5], 5);
                moments.add(leader.reborrow(), x, r);
                start += len;
            }
        });
        moments
    }

    #[test]
    fn match_a_naive_loop() {
        let (x, r) = (random(1, 150 * 71), random(2, 150 * 5));
        let at = |values: &[f32], stride: usize, row: usize, column: usize| {
            f64::from(values[row * stride + column])
        };
        let found = moments(2, &[100, 50]).central();
        let mean = |values: &[f32], stride, column| {
            (0..150).map(|row| at(values, stride, row, column)).sum::<f64>() / 150.0
        };
        for i in 0..70 {
            for (j, of_outputs) in (0..70).map(|j| (j, false)).chain((0..5).map(|j| (j, true))) {
                let (other, stride) = if of_outputs { (&r, 5) } else { (&x, 71) };
                let product = |row| {
                    (at(&x, 71, row, i) - mean(&x, 71, i))
                        * (at(other, stride, row, j) - mean(other, stride, j))
                };
                let expected = (0..150).map(product).sum::<f64>() / 150.0;
                let matrix = if of_outputs { &found.cross } else { &found.inputs };
                let found = matrix[j * 70 + i];
                assert!((found - expected).abs() < 1e-12, "{i} {j}: {found} {expected}");
            }
        }
        let squares = (0..150).flat_map(|row| (0..5).map(move |column| (row, column)));
        let squares =
            squares.map(|(row, column)| (at(&r, 5, row, column) - mean(&r, 5, column)).powi(2));
        assert!((found.output_squares - squares.sum::<f64>() / 150.0).abs() < 1e-12);
    }

    #[test]
    fn do_not_depend_on_threads() {
        let [one, three] = [1, 3].map(|threads| moments(threads, &[100, 50]));
        assert_eq!(one.input_products, three.input_products);
        assert_eq!(one.cross_products, three.cross_products);
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let (x, r) = (random(1, 150 * 71), random(2, 150 * 5));
        let part = |range: std::ops::Range<usize>| {
            let mut part = Moments::new(70, 5);
            Threads::CALLER.run(|leader| {
                let x = rows(&x[range.start * 71..range.end * 71], 71);
                part.add(leader, x, rows(&r[range.start * 5..range.end * 5], 5));
            });
            part
        };
        let mut first = part(0..40);
        first.merge(&part(40..150));
        let (whole, merged) = (part(0..150).central(), first.central());
        for (whole, merged) in [(&whole.inputs, &merged.inputs), (&whole.cross, &merged.cross)] {
            assert!(whole.iter().zip(merged).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }
}
