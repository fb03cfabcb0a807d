//! What unit tests share: deterministic values and comparison with float64.

use crate::random::SplitMix64;

/// `len` values in [−1, 1), the same for the same seed.
pub(crate) fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    (0..len).map(|_| (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

#[track_caller]
pub(crate) fn assert_close(found: f32, expected: f64, tolerance: f64) {
    let error = (f64::from(found) - expected).abs();
    assert!(error <= tolerance, "expected {expected}, found {found}: off by {error}");
}

#[track_caller]
pub(crate) fn assert_all_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(expected) {
        assert_close(found, expected, tolerance);
    }
}
