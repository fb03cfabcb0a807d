//! Helpers of unit tests: pseudorandom values, comparison with float64, and the instruction set under test.

use crate::InstructionSet;
use crate::random::SplitMix64;

/// Returns the instruction set that `EXPECT_ISA` names. Runs on an emulated processor test only this set, and fail if
/// the processor lacks it instead of skipping it.
pub(crate) fn expected_set() -> Option<InstructionSet> {
    let name = std::env::var("EXPECT_ISA").ok()?;
    Some(name.parse().unwrap_or_else(|error| panic!("EXPECT_ISA: {error}")))
}

/// Returns the sizes to test: all of them, or a few if `EXPECT_ISA` is set, since an emulated processor is slow.
pub(crate) fn sizes<T>(
    all: impl IntoIterator<Item = T>,
    few: impl IntoIterator<Item = T>,
) -> Vec<T> {
    if expected_set().is_some() { few.into_iter().collect() } else { all.into_iter().collect() }
}

/// Returns `len` values in [−1, 1) that depend only on the seed.
pub(crate) fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    (0..len).map(|_| random.symmetric()).collect()
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
