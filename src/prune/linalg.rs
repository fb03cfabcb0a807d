//! Factorizations of symmetric matrices, which are stored by columns.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Llt, Solve};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};

/// The Cholesky factor of a symmetric matrix plus a ridge.
pub(super) struct Factor {
    factor: Llt<f64>,
    size: usize,
}

impl Factor {
    /// Factors `matrix`, `[size, size]`, plus `ridge` times the mean of its diagonal; `None` if the sum is not positive
    /// definite.
    pub fn new(matrix: &[f64], size: usize, ridge: f64) -> Option<Self> {
        let mean = (0..size).map(|at| matrix[at * size + at]).sum::<f64>() / size.max(1) as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        let mut sum = Mat::from_fn(size, size, |row, column| matrix[column * size + row]);
        for at in 0..size {
            sum[(at, at)] += ridge * mean;
        }
        let factor = Llt::new(sum.as_ref(), Side::Lower).ok()?;
        Some(Self { factor, size })
    }

    /// Returns the inverse of the sum.
    pub fn inverse(&self) -> Vec<f64> {
        by_columns(self.factor.inverse().as_ref())
    }

    /// Returns the solution of `(matrix + ridge) X = right`, with as many columns as `right`.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let right = MatRef::from_column_major_slice(right, self.size, right.len() / self.size);
        by_columns(self.factor.solve(right).as_ref())
    }

    /// Multiplies the columns of `matrix` by the transpose of the factor, so that the length of a column `c` becomes
    /// `√(cᵀ (matrix + ridge) c)`.
    pub fn scale_columns(&self, matrix: &[f64]) -> Vec<f64> {
        let columns = matrix.len() / self.size;
        let matrix = MatRef::from_column_major_slice(matrix, self.size, columns);
        let factor = self.factor.L();
        let lower = Mat::from_fn(self.size, self.size, |row, column| {
            if row >= column { factor[(row, column)] } else { 0.0 }
        });
        let mut scaled = Mat::zeros(self.size, columns);
        matmul(scaled.as_mut(), Accum::Replace, lower.transpose(), matrix, 1.0, Par::Seq);
        by_columns(scaled.as_ref())
    }
}

/// Returns the product of two matrices, given the rows of both.
pub(super) fn product((a, a_rows): (&[f64], usize), (b, b_rows): (&[f64], usize)) -> Vec<f64> {
    let columns = b.len() / b_rows;
    let mut result = vec![0.0; a_rows * columns];
    matmul(
        MatMut::from_column_major_slice_mut(&mut result, a_rows, columns),
        Accum::Replace,
        MatRef::from_column_major_slice(a, a_rows, b_rows),
        MatRef::from_column_major_slice(b, b_rows, columns),
        1.0,
        Par::Seq,
    );
    result
}

fn by_columns(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let rows = matrix.nrows();
    let mut values = Vec::with_capacity(rows * matrix.ncols());
    for column in 0..matrix.ncols() {
        values.extend((0..rows).map(|row| matrix[(row, column)]));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    /// Returns `A Aᵀ` for a random matrix of odd size.
    fn positive(size: usize) -> Vec<f64> {
        let a: Vec<f64> = random(3, size * size).iter().map(|&value| f64::from(value)).collect();
        let transposed: Vec<f64> =
            (0..size * size).map(|at| a[at % size * size + at / size]).collect();
        product((&a, size), (&transposed, size))
    }

    #[test]
    fn solutions_and_inverse_solve_the_sum() {
        for size in [1, 2, 17, 65] {
            let matrix = positive(size);
            let mean = (0..size).map(|at| matrix[at * size + at]).sum::<f64>() / size as f64;
            let factor = Factor::new(&matrix, size, 0.1).unwrap();
            let mut sum = matrix.clone();
            (0..size).for_each(|at| sum[at * size + at] += 0.1 * mean);
            let identity = product((&sum, size), (&factor.inverse(), size));
            for (at, value) in identity.iter().enumerate() {
                let expected = if at / size == at % size { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-9, "{size}: {value}");
            }
            let right: Vec<f64> = (0..3 * size).map(|at| at as f64).collect();
            let found = product((&sum, size), (&factor.solve(&right), size));
            assert!(found.iter().zip(&right).all(|(a, b)| (a - b).abs() < 1e-7));
            let scaled = factor.scale_columns(&right);
            let forms = product((&sum, size), (&right, size));
            for column in 0..3 {
                let part = column * size..(column + 1) * size;
                let length: f64 = scaled[part.clone()].iter().map(|value| value * value).sum();
                let form: f64 =
                    right[part.clone()].iter().zip(&forms[part]).map(|(a, b)| a * b).sum();
                assert!((length - form).abs() <= 1e-9 * form.max(1.0), "{length} {form}");
            }
        }
    }

    #[test]
    fn refuses_what_is_not_positive_definite() {
        assert!(Factor::new(&[0.0; 4], 2, 0.1).is_none());
        assert!(Factor::new(&[f64::NAN; 4], 2, 0.1).is_none());
        assert!(Factor::new(&[1.0, 5.0, 5.0, 1.0], 2, 0.1).is_none());
    }
}
