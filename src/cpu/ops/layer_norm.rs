//! Layer normalization of tokens' vectors.

use crate::cpu::executor::Executor;
use crate::cpu::parallel::disjoint::Chunks;
use crate::cpu::simd::{Isa, Kernel};
use crate::model::weights::LayerNorm;

/// Rows of one task: a few microseconds.
pub(crate) const TASK_ROWS: usize = 16;

/// Buffer for the values of a normalization that the backward pass needs.
#[cfg_attr(
    not(feature = "explain"),
    allow(dead_code, reason = "only the backward pass reads saved activations")
)]
pub(crate) enum SavedNorm<'a> {
    /// Saves nothing.
    Nothing,
    /// Saves the rows before they are normalized.
    Inputs(&'a mut [f32]),
    /// Saves one over each row's deviation.
    InverseDeviations(&'a mut [f32]),
}

/// Normalizes each row in place.
pub(crate) fn normalize(
    executor: &mut Executor<'_>,
    norm: &LayerNorm,
    rows: &mut [f32],
    saved: SavedNorm<'_>,
) {
    let (isa, dim) = (executor.isa, norm.weight.len());
    let tasks = (rows.len() / dim).div_ceil(TASK_ROWS);
    let (kind, saved) = match saved {
        SavedNorm::Nothing => (Save::Nothing, Chunks::empty(tasks)),
        SavedNorm::Inputs(to) => (Save::Inputs, Chunks::new(to, TASK_ROWS * dim)),
        SavedNorm::InverseDeviations(to) => (Save::InverseDeviations, Chunks::new(to, TASK_ROWS)),
    };
    let parts = (Chunks::new(rows, TASK_ROWS * dim), saved);
    executor.leader.for_each(parts, |_, (rows, saved)| {
        isa.dispatch(NormalizeRows { norm, rows, kind, saved });
    });
}

#[derive(Clone, Copy)]
enum Save {
    Nothing,
    Inputs,
    InverseDeviations,
}

/// A task: some rows.
struct NormalizeRows<'a> {
    norm: &'a LayerNorm,
    rows: &'a mut [f32],
    kind: Save,
    saved: &'a mut [f32],
}

impl Kernel for NormalizeRows<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { norm, rows, kind, saved } = self;
        let dim = norm.weight.len();
        for (index, row) in rows.chunks_exact_mut(dim).enumerate() {
            if let Save::Inputs = kind {
                saved[index * dim..(index + 1) * dim].copy_from_slice(row);
            }
            let inverse = layer_norm(isa, norm, row);
            if let Save::InverseDeviations = kind {
                saved[index] = inverse;
            }
        }
    }
}

/// Returns a row's mean, and `1 / √(variance + eps)`.
///
/// The variance is summed from deviations, in a second pass: with the values in L1 it costs little,
/// and the difference of two large sums would lose digits that the promised accuracy needs.
#[inline(always)]
pub(crate) fn statistics<I: Isa>(isa: I, row: &[f32], eps: f32) -> (f32, f32) {
    let dim = row.len() as f32;
    let mean = sum_map(isa, row, |_, x| x, |x| x) / dim;
    let mean_vector = isa.splat(mean);
    let square = |isa: I, x| {
        let deviation = isa.sub(x, mean_vector);
        isa.mul(deviation, deviation)
    };
    let variance = sum_map(isa, row, square, |x| (x - mean) * (x - mean)) / dim;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Normalizes `row` in place: `(x − mean) / √(variance + eps) · weight + bias`. Returns one over the
/// deviation.
#[inline(always)]
pub(crate) fn layer_norm<I: Isa>(isa: I, norm: &LayerNorm, row: &mut [f32]) -> f32 {
    let (mean, inverse) = statistics(isa, row, norm.eps);
    let mean_vector = isa.splat(mean);
    let inverse_vector = isa.splat(inverse);
    let (weight, bias) = (&norm.weight[..row.len()], &norm.bias[..row.len()]);
    let whole = row.len() - row.len() % I::LANES;
    for at in (0..whole).step_by(I::LANES) {
        let deviation = isa.sub(isa.load(&row[at..]), mean_vector);
        let normal = isa.mul(deviation, inverse_vector);
        isa.store(
            isa.mul_add(normal, isa.load(&weight[at..]), isa.load(&bias[at..])),
            &mut row[at..],
        );
    }
    for at in whole..row.len() {
        row[at] = (row[at] - mean) * inverse * weight[at] + bias[at];
    }
    inverse
}

/// Returns the sum of a function over a row: `vector` for whole vectors, `scalar` for the rest.
#[inline(always)]
fn sum_map<I: Isa>(
    isa: I,
    row: &[f32],
    vector: impl Fn(I, I::F32) -> I::F32,
    scalar: impl Fn(f32) -> f32,
) -> f32 {
    let chunks = row.chunks_exact(I::LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| scalar(x)).sum();
    let mut sum = isa.splat(0.0);
    for chunk in chunks {
        sum = isa.add(sum, vector(isa, isa.load(chunk)));
    }
    isa.sum(sum) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::on_every_set;
    use crate::testing::{assert_all_close, random, sizes};

    #[derive(Clone)]
    struct Copied<'a> {
        norm: &'a LayerNorm,
        row: Vec<f32>,
    }

    impl Kernel for Copied<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn eval<I: Isa>(mut self, isa: I) -> Vec<f32> {
            layer_norm(isa, self.norm, &mut self.row);
            self.row
        }
    }

    #[test]
    fn rows_of_every_width_match_float64() {
        for dim in sizes((2..=33).chain([47, 48, 384, 768, 1024]), (2..=33).chain([47, 384])) {
            let norm = LayerNorm { weight: random(1, dim), bias: random(2, dim), eps: 1e-12 };
            let row: Vec<f32> = random(3, dim).iter().map(|x| 3.0 * x + 5.0).collect();
            let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let mean = wide.iter().sum::<f64>() / dim as f64;
            let variance = wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / dim as f64;
            let expected: Vec<f64> = (0..dim)
                .map(|i| {
                    let normal = (wide[i] - mean) / (variance + 1e-12).sqrt();
                    normal * f64::from(norm.weight[i]) + f64::from(norm.bias[i])
                })
                .collect();
            on_every_set(Copied { norm: &norm, row }, |_, found| {
                assert_all_close(&found, &expected, 1e-4 / (variance.sqrt().min(1.0)) / 10.0);
            });
        }
    }
}
