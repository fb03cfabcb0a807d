//! What unit tests share: deterministic values, comparison with float64, and the instruction set that a
//! run is confined to.

use crate::InstructionSet;
use crate::random::SplitMix64;

/// The one instruction set to test, where `EXPECT_ISA` names it: runs on an emulated processor have this
/// one alone, so that a processor that lacks it fails them instead of having less to do.
pub(crate) fn expected_set() -> Option<InstructionSet> {
    let name = std::env::var("EXPECT_ISA").ok()?;
    Some(name.parse().unwrap_or_else(|error| panic!("EXPECT_ISA: {error}")))
}

/// The sizes that a sweep takes: all of them, or a few where `EXPECT_ISA` says that the processor is
/// emulated, which is slow.
pub(crate) fn sizes<T>(
    all: impl IntoIterator<Item = T>,
    few: impl IntoIterator<Item = T>,
) -> Vec<T> {
    if expected_set().is_some() { few.into_iter().collect() } else { all.into_iter().collect() }
}

/// `len` values in [−1, 1), the same for the same seed.
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
