//! Gradients of each operation against central differences of the operation in float64, on every instruction set.

mod activation;
mod attention;
mod first_tokens;
mod layer_norm;

use crate::cpu::executor::Executor;
use crate::cpu::parallel::threads::Threads;
use crate::cpu::simd::SelectedIsa;

/// Calls a function with an executor of one thread.
fn on_one_thread(isa: SelectedIsa, work: impl FnOnce(&mut Executor<'_>) + Send) {
    Threads::CALLER.run(|leader| work(&mut Executor { isa, leader }));
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the slope of a function along each of its arguments.
fn slopes(at: &[f64], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let slope = |index: usize| {
        let moved = |step: f64| {
            let mut at = at.to_vec();
            at[index] += step;
            function(&at)
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
    };
    (0..at.len()).map(slope).collect()
}
