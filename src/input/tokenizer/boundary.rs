//! Boundary around the `tokenizers` crate.

/// Runs code of the `tokenizers` crate, whose panics become errors.
pub(super) fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    crate::boundary::guarded("tokenizers", run)
}
