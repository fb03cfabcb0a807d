//! Boundary around the `tokenizers` crate, whose panics become errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of the `tokenizers` crate and returns its error, or its panic's message, as text.
///
/// Files are checked before they reach the crate, so a panic is a defect of the crate. The process's panic hook still
/// runs and, by default, prints the message: only a process-wide hook could silence it, and that hook belongs to the
/// program.
pub(super) fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    // Values that the closure borrows are either dropped with the error or, like a tokenizer that encodes, not changed.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(format!("the tokenizers crate panicked: {}", message.unwrap_or("no message")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error() {
        let found: Result<(), _> = guarded(|| panic!("no such token"));
        assert_eq!(found.unwrap_err(), "the tokenizers crate panicked: no such token");
    }
}
